#!/usr/bin/env bash
# Checks and times maclip on one device, without network, in less than nine minutes.
#
#   scripts/gpu_check.sh [DEVICE]            # DEVICE as in a recipe; default tch:cuda:0
#
# | part        | what it does |
# |---|---|
# | doctor      | a small product on the device |
# | golden      | values and gradients of every golden case |
# | kernels     | our own operations against burn's; on flex and LibTorch, as other devices have none |
# | parity      | a training step of six methods: every gradient against flex |
# | quickstart  | a shortened quickstart, with the time of each phase |
# | bf16        | the same training in f32 and in bf16: losses and accuracies |
# | resume      | a training that is killed and goes on: the same records as an undisturbed one |
# | steps_f32   | training steps and encoding at the sizes of the benchmarks, with random weights: time, and peak memory |
# | steps_bf16  | beside what `maclip plan` says; and the same steps in PyTorch, eager and compiled, where it is there |
#
# Makes the folder gpu_check/DEVICE (with `-` for `:`) with a log of each part, table.md and result.json, and prints the
# table. Fails where a part fails. Builds with cargo, with the feature that the device needs; where MACLIP_BINARIES names a
# folder with the programs maclip, golden, kernels, parity and engine, those run and nothing is built.
#
#   MACLIP_GOLDEN    a folder of golden cases, beside those of the repository
#   MACLIP_PEER      the file with the peer's model; then PyTorch (MACLIP_PYTHON, default python3) is timed as well
#   GPU_CHECK_PARTS  parts to run, in order
#   GPU_CHECK_CASES  cases of the bench, with commas between
#   GPU_CHECK_LIMIT  seconds that a part may take, default 240
#   GPU_CHECK_TOTAL  seconds that all parts may take, default 520; a part that finds less than ten left is not begun
#   GPU_CHECK_OUT    the folder, default gpu_check
set -uo pipefail
cd "$(dirname "$0")/.."

device=${1:-tch:cuda:0}
case $device in
  -* | '') sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//;p}' "$0" >&2 && exit 2 ;;
  flex) features=() kernels=kernels processor=1 ;;
  tch:cpu) features=(--features tch) kernels=kernels processor=1 ;;
  tch:*) features=(--features tch) kernels=kernels processor=0 ;;
  *) features=(--features "${device%%:*}") kernels='' processor=0 ;;
esac
# The command of a program: PROGRAM ARGUMENTS…
program() {
  local name=$1
  shift
  # What the test of parity found is printed.
  [[ $name != parity ]] || set -- --nocapture
  if [[ -n ${MACLIP_BINARIES:-} ]]; then
    "$MACLIP_BINARIES/$name" "$@"
    return
  fi
  case $name in
    maclip) cargo run --quiet --release "${features[@]}" -- "$@" ;;
    golden) cargo test --quiet --release --workspace "${features[@]}" --test golden ;;
    parity) cargo test --quiet --release --workspace "${features[@]}" --test parity -- "$@" ;;
    kernels) cargo test --quiet --release -p maclip-kernels "${features[@]}" ;;
    engine) cargo bench --quiet "${features[@]}" --bench engine ;;
  esac
}

# Of a driver for Vulkan that computes on the processor: it needs many seconds for a step, and has no bf16.
software=0
if [[ $device == wgpu:* || $device == vulkan:* ]]; then
  found=$(program maclip doctor 2>/dev/null | grep -F "$device computes")
  [[ $found == *"computes on the processor"* ]] && software=1
fi
if ((software)); then
  usual='doctor golden quickstart resume steps_f32'
  steps=3 resumed=4 saved=2 episodes=20 clips=4
else
  usual="doctor golden $kernels parity quickstart bf16 resume steps_f32 steps_bf16"
  steps=40 resumed=30 saved=5 episodes=400 clips=null
fi
parts=${GPU_CHECK_PARTS:-$usual}
if ((software)); then
  sizes=encode-tiny
elif ((processor)); then
  sizes=encode-vit-b-32,train-vit-b-32-1shot
else
  sizes=encode-vit-b-32,encode-vit-b-16,train-vit-b-32-1shot,train-vit-b-32-5shot,train-kinetics-5w1s,train-kinetics-5w5s
fi
cases=${GPU_CHECK_CASES:-$sizes}
limit=${GPU_CHECK_LIMIT:-240}
total=${GPU_CHECK_TOTAL:-520}
out=${GPU_CHECK_OUT:-gpu_check}/${device//:/-}
mkdir -p "$out"
out=$(cd "$out" && pwd)
rm -f "$out"/*.log "$out"/*.jsonl "$out/table.md" "$out/result.json"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# A short training of MA-CLIP on the embedded benchmark into the folder RUNS: short RUNS ARGUMENTS…
short() {
  local runs=$1
  shift
  program maclip run quickstart --only ma_clip --runs "$runs" --set device="$device" --set task.test.episodes="$episodes" \
    --set task.train.validate_every_steps=20 --set task.validation.episodes=$((episodes / 8)) \
    --set task.test.clips_per_class="$clips" --set task.validation.clips_per_class="$clips" "$@"
}

# Sum of a number in the records of the only run below RUNS: sum RUNS FILE KEY
sum() {
  cat "$1"/quickstart/ma_clip*/"$2" | grep -o "\"$3\":[-0-9.e]*" | awk -F: '{all += $2; n++} END {printf "%.6f", all / n}'
}

part() {
  export MACLIP_DEVICE=$device MACLIP_BENCH_JSON=$out/steps.jsonl
  case $1 in
    doctor) program maclip doctor | tee /dev/stderr | grep "$device computes" >/dev/null ;;
    golden) program golden ;;
    kernels) program kernels ;;
    parity) program parity ;;
    quickstart) short "$work/quickstart" --set task.train.steps="$steps" --profile ;;
    bf16)
      for precision in f32 bf16; do
        short "$work/$precision" --set precision=$precision --set task.train.steps="$steps" || return
      done
      for record in "train.jsonl loss" "episodes.jsonl correct"; do
        # shellcheck disable=SC2086 # two words
        set -- $(sum "$work/f32" $record) $(sum "$work/bf16" $record) ${record#* }
        echo "mean $3: $1 in f32, $2 in bf16"
        # bf16 has three digits: a mean over 40 steps or 400 episodes of five queries moves by less than this.
        awk -v a="$1" -v b="$2" 'BEGIN {apart = a - b; exit !(apart < 0.1 * a + 0.05 && apart > -0.1 * a - 0.05)}' || return
      done
      ;;
    resume)
      local options=(--set task.train.steps="$resumed" --set task.train.checkpoint_every_steps="$saved")
      short "$work/straight" "${options[@]}" || return
      short "$work/killed" "${options[@]}" &
      while [[ $(cat "$work"/killed/quickstart/ma_clip*/train.jsonl 2>/dev/null | wc -l) -le $saved ]]; do
        kill -0 $! 2>/dev/null || break
        sleep 0.05
      done
      # The program itself, which cargo may have started.
      pkill -KILL -f "maclip run quickstart --only ma_clip --runs $work/killed" || return
      wait $! 2>/dev/null
      short "$work/killed" "${options[@]}" || return
      [[ $(cat "$work"/killed/quickstart/ma_clip*/train.jsonl | wc -l) == "$resumed" ]] || return
      for record in "train.jsonl loss" "episodes.jsonl correct"; do
        # shellcheck disable=SC2086 # two words
        set -- $(sum "$work/straight" $record) $(sum "$work/killed" $record) ${record#* }
        echo "mean $3: $1 undisturbed, $2 killed and resumed"
        awk -v a="$1" -v b="$2" 'BEGIN {apart = a - b; exit !(apart < 0.02 * a + 0.01 && apart > -0.02 * a - 0.01)}' || return
      done
      ;;
    steps_*) MACLIP_PRECISION=${1#steps_} MACLIP_BENCH=$cases MACLIP_BENCH_REPETITIONS=${GPU_CHECK_TURNS:-1} program engine ;;
    *) echo "there is no part $1" && return 2 ;;
  esac
}
export -f part program short sum
export device cases work out steps resumed saved episodes clips
declare -p features >"$work/features"

text() { printf '"%s"' "$(sed 's/[\\"]/\\&/g' <<<"$1" | tr -d '\000-\037')"; }

card=$(nvidia-smi --query-gpu=name,driver_version --format=csv,noheader 2>/dev/null | head -n 1)
failed=0
table="| part | result | seconds |"$'\n'"|---|---|---|"
json=()
for name in $parts; do
  if ((SECONDS + 10 > total)); then
    code=125 seconds=0
  else
    started=$(date +%s.%N)
    left=$((total - SECONDS))
    timeout $((left < limit ? left : limit)) bash -c ". '$work/features'; set -uo pipefail; part $name" >"$out/$name.log" 2>&1
    code=$?
    seconds=$(date +%s.%N | awk -v from="$started" '{printf "%.1f", $1 - from}')
  fi
  case $code in
    0) result=passed ;;
    124) result="stopped after $seconds s" ;;
    125) result="not begun: no time left" ;;
    *) result="failed ($code)" ;;
  esac
  [[ $code == 0 ]] || failed=1
  table+=$'\n'"| $name | $result | $seconds |"
  json+=("{\"part\":\"$name\",\"result\":$(text "$result"),\"seconds\":$seconds}")
  [[ $code == 0 || ! -f $out/$name.log ]] || tail -n 15 "$out/$name.log"
done
{
  printf '\n%s%s\n\n%s\n' "$device" "${card:+ on $card}" "$table"
  for name in parity bf16 resume; do
    [[ -f $out/$name.log ]] && grep -h ' on .*: .* tensors\|^mean ' "$out/$name.log" | sed 's/^/- /'
  done
  for name in steps_f32 steps_bf16; do
    [[ -f $out/$name.log ]] && printf '\n' && grep '^|\|; maclip' "$out/$name.log"
  done
} | tee "$out/table.md"
steps=$(paste -sd, "$out/steps.jsonl" 2>/dev/null)
printf '{"device":%s,"card":%s,"unix":%s,"parts":[%s],"steps":[%s]}\n' "$(text "$device")" "$(text "$card")" "$(date +%s)" \
  "$(IFS=, && echo "${json[*]}")" "$steps" >"$out/result.json"
echo "the same as JSON: $out/result.json" >&2
exit "$failed"
