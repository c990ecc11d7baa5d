#!/usr/bin/env bash
# Makes a CPU-only LibTorch folder from the Python wheel of PyTorch, for builds with `--features tch`.
#
#   scripts/libtorch_cpu.sh DIR
#
# The wheel carries a CUDA build, but its CPU library needs only two small NVIDIA libraries besides
# itself, so the gigabytes of CUDA stay away: about 0.9 GB is downloaded, about 0.5 GB is kept.
# Needs python3 with pip, and gcc. Python need not be of any particular version.
# Called again on a finished folder, it only prints the lines to export.
set -euo pipefail

kind=cpu
NVIDIA=12.8.90    # the CUDA libraries that this wheel was built with
# shellcheck source=scripts/libtorch_common.sh
. "$(dirname "$0")/libtorch_common.sh"

if [[ $# -ne 1 || $1 == -* || -z $1 ]]; then
  say "usage: $0 DIR"
  exit 2
fi
open_folder "$1"
command -v gcc >/dev/null || die "gcc is missing (Debian: apt-get install gcc libc6-dev)"
prepare
say "downloading the wheels of torch $TORCH (about 0.9 GB) ..."
download "torch==$TORCH" "nvidia-cuda-runtime-cu12==$NVIDIA" "nvidia-cuda-cupti-cu12==$NVIDIA"
must='libcudart.so.12 libcupti.so.12'
unpack libc10.so libgomp.so.1 libshm.so libtorch_cpu.so

# The wheel's libtorch.so pulls in CUDA. Ours only passes on to the CPU library.
say "building the stand-in for libtorch.so ..."
lib=$work/out/lib
: >"$work/empty.c"
gcc -shared -fPIC -o "$lib/libtorch.so" "$work/empty.c" -Wl,-soname,libtorch.so \
  -Wl,--no-as-needed -L"$lib" -ltorch_cpu -Wl,-rpath,'$ORIGIN' -Wl,--allow-shlib-undefined ||
  die "gcc could not build libtorch.so"
check_libraries '^$' libtorch.so libtorch_cpu.so libshm.so
finish
