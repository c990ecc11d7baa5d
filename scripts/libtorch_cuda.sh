#!/usr/bin/env bash
# A LibTorch with CUDA, for builds with `--features tch` and devices `tch:cuda:N`.
#
#   scripts/libtorch_cuda.sh DIR                  # makes one in DIR, from the Python wheel of PyTorch
#   scripts/libtorch_cuda.sh --installed [PYTHON] # takes the PyTorch that PYTHON (default python3) has
#
# Both print the lines to export; `eval "$(scripts/libtorch_cuda.sh ...)"` sets them.
#
# The first takes PyTorch 2.9 with NVIDIA's libraries for CUDA 12.8: about 3 GB are downloaded, and about 5 GB kept. It
# needs python3 with pip, of any version. Called again on a finished folder, it only prints the lines. The second
# downloads nothing. PyTorch 2.9 and 2.11 are known to work; the driver must know their CUDA.
set -euo pipefail

kind=cuda
# shellcheck source=scripts/libtorch_common.sh
. "$(dirname "$0")/libtorch_common.sh"

usage() {
  say "usage: $0 DIR"
  say "       $0 --installed [PYTHON]"
  exit "$1"
}

installed() {
  local python=$1 found version torch nvidia
  command -v "$python" >/dev/null || die "$python is not a program"
  # Without importing torch, which takes seconds and can fail where there is no card.
  found=$("$python" - <<'PY'
import importlib.metadata
import importlib.util

spec = importlib.util.find_spec("torch")
if spec is not None:
    print(importlib.metadata.version("torch"))
    print(spec.submodule_search_locations[0])
PY
  ) || die "$python cannot be asked for PyTorch"
  [[ -n $found ]] || die "$python has no PyTorch: pip install torch, or name another one"
  { read -r version && read -r torch; } <<<"$found"
  [[ $torch == *\'* ]] && die "the folder's name must not hold a quote: $torch"
  [[ -f $torch/lib/libtorch_cuda.so ]] || die "PyTorch $version in $torch has no CUDA: install a build for CUDA"
  say "PyTorch $version in $torch"
  printf "export LIBTORCH='%s'\n" "$torch"
  # torch-sys asks for one version, and works with others.
  [[ ${version%%+*} == "$TORCH" ]] || printf 'export LIBTORCH_BYPASS_VERSION_CHECK=1\n'
  printf "export LD_LIBRARY_PATH='%s/lib" "$torch"
  for nvidia in "${torch%/*}"/nvidia/*/lib; do
    [[ -d $nvidia ]] && printf ':%s' "$nvidia"
  done
  printf "'\${LD_LIBRARY_PATH:+:\$LD_LIBRARY_PATH}\n"
  linker
}

case ${1-} in
  -h | --help) usage 0 ;;
  --installed)
    (($# <= 2)) || usage 2
    installed "${2:-python3}"
    exit
    ;;
  -* | '') usage 2 ;;
esac
(($# == 1)) || usage 2
open_folder "$1"
prepare
say "downloading the wheel of torch $TORCH (about 0.9 GB) ..."
download "torch==$TORCH"
mapfile -t needed < <(python3 - "$work/wheels" <<'PY'
import glob
import re
import sys
import zipfile

(wheel,) = glob.glob(sys.argv[1] + "/torch-*.whl")
with zipfile.ZipFile(wheel) as archive:
    (metadata,) = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
    text = archive.read(metadata).decode()
for name, version in re.findall(r"^Requires-Dist: *(nvidia-[\w-]+) *\(?==([\w.]+)", text, re.M):
    print(f"{name}=={version}")
PY
)
((${#needed[@]})) || die "the wheel of torch names no package of NVIDIA: it is not a build for CUDA"
say "downloading ${#needed[@]} packages of NVIDIA (about 2 GB) ..."
download "${needed[@]}"
must='libtorch.so libtorch_cpu.so libtorch_cuda.so libc10.so libc10_cuda.so'
unpack
# These two come with the driver.
check_libraries 'libcuda\.so\.1|libnvidia-ml\.so\.1' libtorch.so libtorch_cpu.so libtorch_cuda.so
finish
