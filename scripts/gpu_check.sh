#!/usr/bin/env bash
# Checks and times maclip on one device, without network, in less than nine minutes after it is built.
#
#   scripts/gpu_check.sh [DEVICE]            # DEVICE as in a recipe; default tch:cuda:0
#
# | part        | what it does |
# |---|---|
# | doctor      | a small product on the device; where that fails, nothing else is tried |
# | golden      | values and gradients of every golden case |
# | kernels     | our own operations against burn's; on flex and LibTorch, as other devices have none |
# | parity      | a training step of six methods: every gradient against flex |
# | quickstart  | a shortened quickstart, with the time of each phase |
# | bf16        | the same training in f32 and in bf16: losses and accuracies |
# | resume      | a training that is killed and goes on: the same records as an undisturbed one |
# | steps_f32   | training steps and encoding at the sizes of the benchmarks, with random weights: time, and peak memory |
# | steps_bf16  | beside what `maclip plan` says; the same steps in eager PyTorch, and one case compiled, where it is there |
#
# Makes the folder gpu_check/DEVICE (with `-` for `:`) with a log of each part, table.md and result.json, and prints both.
# Fails where a part fails. Builds with cargo before the clock starts, with the feature that the device needs; where
# MACLIP_BINARIES names a folder with the programs maclip, golden, kernels, parity and engine, those run and nothing is
# built. A Vulkan driver that computes on the processor gets fewer parts and steps.
#
#   MACLIP_GOLDEN    a folder of golden cases, beside those of the repository
#   MACLIP_PEER      the file with the peer's model, which scripts/peer_step.py describes. PyTorch is timed beside ours
#                    where it is given, and MACLIP_PYTHON (default python3) has PyTorch for this device
#   GPU_CHECK_PARTS  parts to run, in order
#   GPU_CHECK_CASES  cases of the bench, with commas between
#   GPU_CHECK_LIMIT  seconds that a part may take, default 240, and 300 with a driver that computes on the processor
#   GPU_CHECK_PEER_LIMIT  seconds that one measurement of PyTorch may take, default 60
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
# What cargo is told of a program: cargo_words PROGRAM.
cargo_words() {
  case $1 in
    maclip) words=(--release "${features[@]}") ;;
    golden | parity) words=(--release --workspace "${features[@]}" --test "$1") ;;
    kernels) words=(--release -p maclip-kernels "${features[@]}") ;;
    engine) words=("${features[@]}" --bench engine) ;;
  esac
}
# The command of a program: PROGRAM ARGUMENTS…
program() {
  local name=$1 words
  shift
  # What the test of parity found is printed.
  [[ $name != parity ]] || set -- --nocapture
  if [[ -n ${MACLIP_BINARIES:-} ]]; then
    "$MACLIP_BINARIES/$name" "$@"
    return
  fi
  cargo_words "$name"
  case $name in
    maclip) cargo run --offline --quiet "${words[@]}" -- "$@" ;;
    engine) cargo bench --offline --quiet "${words[@]}" ;;
    *) cargo test --offline --quiet "${words[@]}" -- "$@" ;;
  esac
}
if [[ -z ${MACLIP_BINARIES:-} ]]; then
  for name in maclip golden parity $kernels engine; do
    cargo_words "$name"
    case $name in
      maclip) cargo build "${words[@]}" ;;
      engine) cargo bench --no-run "${words[@]}" ;;
      *) cargo test --no-run "${words[@]}" ;;
    esac || exit
  done
fi
SECONDS=0

# Of a driver for Vulkan that computes on the processor: it needs many seconds for a step, and has no bf16.
software=0
if [[ $device == wgpu:* || $device == vulkan:* ]]; then
  found=$(program maclip doctor 2>/dev/null | grep -F "$device computes")
  [[ $found == *"computes on the processor"* ]] && software=1
fi
if ((software)); then
  usual='doctor golden parity quickstart resume steps_f32'
  steps=2 resumed=2 saved=1 episodes=16 clips=4 longest=300
  export MACLIP_PARITY=${MACLIP_PARITY:-ma_clip}
else
  usual="doctor golden $kernels parity quickstart bf16 resume steps_f32 steps_bf16"
  steps=40 resumed=30 saved=5 episodes=400 clips=null longest=240
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
limit=${GPU_CHECK_LIMIT:-$longest}
total=${GPU_CHECK_TOTAL:-520}
out=${GPU_CHECK_OUT:-gpu_check}/${device//:/-}
mkdir -p "$out"
out=$(cd "$out" && pwd)
rm -f "$out"/*.log "$out"/*.jsonl "$out/table.md" "$out/result.json"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# Why PyTorch cannot be timed; nothing where it can.
without_torch() {
  local peer=${MACLIP_PEER:-} python=${MACLIP_PYTHON:-python3}
  if ((software)); then
    echo 'the driver computes on the processor'
  elif [[ -z $peer ]]; then
    echo "no model to compare with is given; MACLIP_PEER names its file"
  elif [[ ! -f $peer ]]; then
    echo "$peer, which MACLIP_PEER names, is not there"
  else
    "$python" - "$processor" <<'PYTHON' || echo "$python cannot be started"
import sys
try:
    import torch
except ImportError:
    print(f"{sys.executable} has no torch; MACLIP_PYTHON names a Python that has it")
else:
    if not hasattr(torch.nn.functional, "scaled_dot_product_attention"):
        print(f"its version {torch.__version__} is older than 2.0")
    elif sys.argv[1] == "0" and not torch.cuda.is_available():
        print(f"its version {torch.__version__} finds no CUDA")
PYTHON
  fi
}
why=$(without_torch)
if [[ -n $why ]]; then
  unset MACLIP_PEER
else
  MACLIP_PEER=$(realpath "$MACLIP_PEER")
  export MACLIP_PEER
fi

# A short training of MA-CLIP on the embedded benchmark into the folder RUNS: short RUNS ARGUMENTS…
short() {
  local runs=$1
  shift
  program maclip run quickstart --only ma_clip --runs "$runs" --set device="$device" --set task.test.episodes="$episodes" \
    --set task.train.validate_every_steps=20 --set task.validation.episodes=$((episodes / 8)) \
    --set task.test.clips_per_class="$clips" --set task.validation.clips_per_class="$clips" --set task.test.examples=0 \
    --set task.test.occlusion=0 --set task.test.map_clips=0 "$@"
}

# Sum of a number in the records of the only run below RUNS: sum RUNS FILE KEY
sum() {
  cat "$1"/quickstart/ma_clip*/"$2" | grep -o "\"$3\":[-0-9.e]*" | awk -F: '{all += $2; n++} END {printf "%.6f", all / n}'
}

# The steps of the bench: bench PRECISION CASES PEERS
bench() {
  MACLIP_PRECISION=$1 MACLIP_BENCH=$2 MACLIP_BENCH_PEERS=$3 MACLIP_BENCH_REPETITIONS=${GPU_CHECK_TURNS:-1} \
    MACLIP_BENCH_PEER_LIMIT=${GPU_CHECK_PEER_LIMIT:-60} program engine
}

# What doctor says of the device. It lists the first card alone: of another one, the check of a recipe speaks.
doctor() {
  local line told
  line=$(program maclip doctor | tee /dev/stderr | grep -F "$device " | head -n 1)
  if [[ -z $line ]]; then
    told=$(program maclip validate quickstart --set device="$device" 2>&1) && return
    line=$(head -n 1 <<<"$told")
  fi
  sed 's/^ *//;s/  */ /g' <<<"$line" >"$work/line"
  [[ $line == *"$device computes"* ]]
}

part() {
  export MACLIP_DEVICE=$device MACLIP_BENCH_JSON=$out/steps.jsonl
  case $1 in
    doctor) doctor ;;
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
      # It is killed as soon as there is a checkpoint to go on from.
      until compgen -G "$work/killed/quickstart/ma_clip*/checkpoints/step-*[0-9]" >/dev/null; do
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
    steps_*)
      bench "${1#steps_}" "$cases" eager || return
      # The compiler takes minutes, so it gets the case that is bound by calls, after all others.
      if [[ -n ${MACLIP_PEER:-} && $cases == *train-vit-b-32-1shot* && ($1 == steps_bf16 || $processor == 1) ]]; then
        bench "${1#steps_}" train-vit-b-32-1shot compiled
      fi
      ;;
    *) echo "there is no part $1" && return 2 ;;
  esac
}
export -f cargo_words part program short sum bench doctor
export device cases work out steps resumed saved episodes clips processor
declare -p features >"$work/features"

text() { printf '"%s"' "$(sed 's/[\\"]/\\&/g' <<<"$1" | tr -d '\000-\037')"; }

# The numbers in the log of a part, one JSON object in a line.
numbers() {
  local value='([-0-9.e]+)'
  sed -nE "s/^mean ([a-z]+): $value in f32, $value in bf16\$/{\"mean\":\"\1\",\"f32\":\2,\"bf16\":\3}/p
    s/^mean ([a-z]+): $value undisturbed, $value killed and resumed\$/{\"mean\":\"\1\",\"undisturbed\":\2,\"resumed\":\3}/p
    s/^(.+) on [^ ]+: ([0-9]+) tensors, loss $value and $value, norm $value and $value, gradients apart $value of the \
largest, $value of their tensor.*/{\"recipe\":\"\1\",\"tensors\":\2,\"loss_flex\":\3,\"loss\":\4,\"norm_flex\":\5,\
\"norm\":\6,\"apart_of_largest\":\7,\"apart_of_tensor\":\8}/p" "$1"
}

# The table of the bench in a log as rows of ours: rows PART LOG
rows() {
  awk -v part="$1" '
    /^\| case \|/ { columns = split($0, names, / *\| */); next }
    /^\|-/ || !/^\|/ { next }
    {
      split($0, cells, / *\| */)
      said = ""
      for (at = 3; at < columns; at++) said = said (said == "" ? "" : "; ") names[at] " " cells[at]
      print "| " part ": " cells[2] " | measured | | " said " |"
    }' "$2"
}

card=$(nvidia-smi --query-gpu=name,driver_version --format=csv,noheader 2>/dev/null | head -n 1)
failed=0
table="| part | result | seconds | numbers |"$'\n'"|---|---|---|---|"
json=()
for name in $parts; do
  log=$out/$name.log found=''
  if ((SECONDS + 10 > total)); then
    code=125 seconds=0
  else
    started=$(date +%s.%N)
    left=$((total - SECONDS))
    timeout $((left < limit ? left : limit)) bash -c ". '$work/features'; set -uo pipefail; part $name" >"$log" 2>&1
    code=$?
    seconds=$(date +%s.%N | awk -v from="$started" '{printf "%.1f", $1 - from}')
    found=$(numbers "$log")
  fi
  case $code in
    0) result=passed ;;
    124) result="stopped after $seconds s" ;;
    125) result="not begun: no time left" ;;
    *) result="failed ($code)" ;;
  esac
  [[ $name == doctor && $code != 0 && -s $work/line ]] && result="failed: $(<"$work/line")"
  shown=$(grep -hE ' on .*: .* tensors|^mean ' "$log" 2>/dev/null | paste -sd';' | sed 's/|/\\|/g;s/;/; /g')
  table+=$'\n'"| $name | $result | $seconds | $shown |"
  [[ $name == steps_* && -f $log ]] && steps_rows=$(rows "$name" "$log") && table+=${steps_rows:+$'\n'$steps_rows}
  json+=("{\"part\":\"$name\",\"result\":$(text "$result"),\"seconds\":$seconds,\"numbers\":[$(paste -sd, <<<"$found")]}")
  [[ $code == 0 ]] && continue
  failed=1
  if [[ $name == doctor ]]; then
    echo "$result" >&2
    break
  fi
  [[ ! -f $log ]] || tail -n 15 "$log" >&2
done
torch=compared
[[ -z $why ]] || torch="not compared, because $why"
printf '\n%s%s\n\n%s\n\nPyTorch: %s\n' "$device" "${card:+ on $card}" "$table" "$torch" | tee "$out/table.md"
measured=$(paste -sd, "$out/steps.jsonl" 2>/dev/null)
printf '{"device":%s,"card":%s,"unix":%s,"pytorch":%s,"parts":[%s],"steps":[%s]}\n' "$(text "$device")" "$(text "$card")" \
  "$(date +%s)" "$(text "$torch")" "$(IFS=, && echo "${json[*]}")" "$measured" >"$out/result.json"
echo
cat "$out/result.json"
exit "$failed"
