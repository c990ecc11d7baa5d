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

TORCH=2.9.0       # the version that torch-sys 0.22 asks for
NVIDIA=12.8.90    # the CUDA libraries that this wheel was built with

die() {
  printf 'libtorch_cpu.sh: %s\n' "$*" >&2
  exit 1
}

say() {
  printf '%s\n' "$*" >&2
}

if [[ $# -ne 1 || $1 == -* || -z $1 ]]; then
  say "usage: $0 DIR"
  exit 2
fi

exports() {
  printf "export LIBTORCH='%s'\n" "$dir"
  printf "export LD_LIBRARY_PATH='%s/lib'\${LD_LIBRARY_PATH:+:\$LD_LIBRARY_PATH}\n" "$dir"
}

[[ $1 == *\'* ]] && die "the folder's name must not hold a quote: $1"
[[ -e $1 && ! -d $1 ]] && die "$1 exists and is not a folder"
mkdir -p "$1" || die "cannot make $1"
dir=$(cd "$1" && pwd)

if [[ -f $dir/build-version ]]; then
  have=$(<"$dir/build-version")
  [[ $have == "$TORCH+cpu" ]] || die "$dir holds LibTorch $have, not $TORCH+cpu: choose another folder or remove it"
  say "LibTorch $have is already in $dir"
  exports
  exit 0
fi

[[ -z $(ls -A "$dir") ]] || die "$dir is not empty and holds no finished LibTorch: choose another folder or empty it"

[[ $(uname -s) == Linux && $(uname -m) == x86_64 ]] ||
  die "this recipe is for Linux on x86_64, not $(uname -s) on $(uname -m)"
command -v python3 >/dev/null || die "python3 is missing (Debian: apt-get install python3 python3-pip)"
python3 -m pip --version >/dev/null 2>&1 || die "pip is missing for python3 (Debian: apt-get install python3-pip)"
command -v gcc >/dev/null || die "gcc is missing (Debian: apt-get install gcc libc6-dev)"

# The work folder lies beside DIR, so that the result is moved and not copied.
work=$(mktemp -d "$(dirname "$dir")/.libtorch_cpu.XXXXXX") || die "cannot write beside $dir"
trap 'rm -rf "$work"' EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM

say "downloading the wheels of torch $TORCH (about 0.9 GB) ..."
TMPDIR=$work python3 -m pip download --quiet --no-cache-dir --no-deps --only-binary=:all: \
  --implementation cp --python-version 3.11 \
  --platform manylinux_2_28_x86_64 --platform manylinux2014_x86_64 \
  --dest "$work/wheels" \
  "torch==$TORCH" "nvidia-cuda-runtime-cu12==$NVIDIA" "nvidia-cuda-cupti-cu12==$NVIDIA" >&2 ||
  die "pip could not download the wheels"

say "unpacking ..."
python3 - "$work/wheels" "$work/out" <<'PY' || die "the wheels could not be unpacked"
import pathlib
import shutil
import sys
import zipfile

wheels, out = map(pathlib.Path, sys.argv[1:])
torch = {"libc10.so", "libgomp.so.1", "libshm.so", "libtorch_cpu.so"}
found = set()


def wanted(name):
    """Where a member of a wheel goes, or None."""
    parts = pathlib.PurePosixPath(name).parts
    if ".." in parts or name.endswith("/"):
        return None
    if parts[:2] == ("torch", "include"):
        return pathlib.Path(*parts[1:])
    if parts[:2] == ("torch", "lib") and len(parts) == 3 and parts[2] in torch:
        return pathlib.Path("lib", parts[2])
    if parts[0] == "nvidia" and len(parts) == 4 and parts[2] == "lib" and ".so" in parts[3]:
        return pathlib.Path("lib", parts[3])
    return None


for wheel in sorted(wheels.glob("*.whl")):
    with zipfile.ZipFile(wheel) as archive:
        for name in archive.namelist():
            path = wanted(name)
            if path is None:
                continue
            target = out / path
            target.parent.mkdir(parents=True, exist_ok=True)
            with archive.open(name) as source, open(target, "wb") as sink:
                shutil.copyfileobj(source, sink, 1 << 20)
            if path.parts[0] == "lib":
                target.chmod(0o755)
                found.add(path.name)
    wheel.unlink()

missing = (torch | {"libcudart.so.12", "libcupti.so.12"}) - found
if missing:
    sys.exit("not in the wheels: " + ", ".join(sorted(missing)))
PY

# The wheel's libtorch.so pulls in CUDA. Ours only passes on to the CPU library.
say "building the stand-in for libtorch.so ..."
lib=$work/out/lib
: >"$work/empty.c"
gcc -shared -fPIC -o "$lib/libtorch.so" "$work/empty.c" -Wl,-soname,libtorch.so \
  -Wl,--no-as-needed -L"$lib" -ltorch_cpu -Wl,-rpath,'$ORIGIN' -Wl,--allow-shlib-undefined ||
  die "gcc could not build libtorch.so"

for so in libtorch.so libtorch_cpu.so libshm.so; do
  if unresolved=$(LD_LIBRARY_PATH=$lib ldd "$lib/$so" | grep 'not found'); then
    die "$so does not resolve:"$'\n'"$unresolved"
  fi
done

mv "$work/out/include" "$work/out/lib" "$dir/"
printf '%s\n' "$TORCH+cpu" >"$dir/build-version" # last: it marks a finished folder
say "LibTorch $TORCH for the CPU is in $dir"
exports
