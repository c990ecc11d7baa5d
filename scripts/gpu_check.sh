#!/usr/bin/env bash
# Checks and times maclip on one device, without network, in a few minutes.
#
#   scripts/gpu_check.sh [DEVICE]            # DEVICE as in a recipe; default tch:cuda:0
#
# Makes the folder gpu_check/DEVICE (with `-` for `:`) with a log of each part, and prints a Markdown table of the parts
# and of the times. Fails where a part fails. Builds with cargo, with the feature that the device needs; where
# MACLIP_BINARIES names a folder with the programs maclip, golden, kernels and engine, those run and nothing is built.
#
#   MACLIP_GOLDEN    a folder of golden cases, beside those of the repository
#   MACLIP_PEER      the file with the peer's model; then PyTorch (MACLIP_PYTHON, default python3) is timed as well
#   GPU_CHECK_PARTS  parts to run, default: doctor golden kernels quickstart f32 bf16; kernels only on flex and LibTorch, as
#                    other devices have none of ours
#   GPU_CHECK_CASES  cases of the bench, default: encode-vit-b-32,train-vit-b-32-1shot,train-vit-b-16-1shot
#   GPU_CHECK_LIMIT  seconds that a part may take, default 240
set -uo pipefail
cd "$(dirname "$0")/.."

device=${1:-tch:cuda:0}
kernels=
case $device in
  flex | tch:*) kernels=kernels ;;
esac
parts=${GPU_CHECK_PARTS:-doctor golden $kernels quickstart f32 bf16}
cases=${GPU_CHECK_CASES:-encode-vit-b-32,train-vit-b-32-1shot,train-vit-b-16-1shot}
limit=${GPU_CHECK_LIMIT:-240}
out=${GPU_CHECK_OUT:-gpu_check}/${device//:/-}
mkdir -p "$out"

case $device in
  flex) features=() ;;
  *) features=(--features "${device%%:*}") ;;
esac

# The command of a program: PROGRAM ARGUMENTS…
program() {
  local name=$1
  shift
  if [[ -n ${MACLIP_BINARIES:-} ]]; then
    "$MACLIP_BINARIES/$name" "$@"
    return
  fi
  case $name in
    maclip) cargo run --quiet --release "${features[@]}" -- "$@" ;;
    golden) cargo test --quiet --release --workspace "${features[@]}" --test golden ;;
    kernels) cargo test --quiet --release -p maclip-kernels "${features[@]}" ;;
    engine) cargo bench --quiet "${features[@]}" --bench engine ;;
  esac
}

part() {
  export MACLIP_DEVICE=$device
  case $1 in
    doctor) program maclip doctor | tee /dev/stderr | grep "$device computes" >/dev/null ;;
    golden) program golden ;;
    kernels) program kernels ;;
    quickstart)
      local runs
      runs=$(mktemp -d)
      program maclip run recipes/quickstart.yaml --runs "$runs" --set device="$device" --set task.train.steps=30 \
        --set task.test.episodes=400 --set task.validation.episodes=50 --profile
      ;;
    f32 | bf16) MACLIP_PRECISION=$1 MACLIP_BENCH=$cases program engine ;;
    *) echo "there is no part $1" && return 2 ;;
  esac
}
export -f part program
export device cases
declare -p features >"$out/features"

failed=0
table="| part | result | seconds |"$'\n'"|---|---|---|"
for name in $parts; do
  started=$(date +%s.%N)
  timeout "$limit" bash -c ". '$out/features'; set -uo pipefail; part $name" >"$out/$name.log" 2>&1
  code=$?
  seconds=$(date +%s.%N | awk -v from="$started" '{printf "%.1f", $1 - from}')
  case $code in
    0) result=passed ;;
    124) result="stopped after $limit s" ;;
    *) result="failed ($code)" ;;
  esac
  [[ $code == 0 ]] || failed=1
  table+=$'\n'"| $name | $result | $seconds |"
  [[ $code == 0 ]] || tail -n 15 "$out/$name.log"
done
printf '\n%s\n\n' "$table" | tee "$out/table.md"
for name in f32 bf16; do
  [[ -f $out/$name.log ]] && grep '^|\|; maclip' "$out/$name.log" | tee -a "$out/table.md"
done
exit "$failed"
