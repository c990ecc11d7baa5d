# What libtorch_cpu.sh and libtorch_cuda.sh share; not called by itself. The caller has set `kind` to `cpu` or `cuda`.

TORCH=2.9.0 # the version that torch-sys 0.22 asks for

die() {
  printf '%s: %s\n' "${0##*/}" "$*" >&2
  exit 1
}

say() {
  printf '%s\n' "$*" >&2
}

exports() {
  printf "export LIBTORCH='%s'\n" "$dir"
  printf "export LD_LIBRARY_PATH='%s/lib'\${LD_LIBRARY_PATH:+:\$LD_LIBRARY_PATH}\n" "$dir"
  [[ $kind == cpu ]] || linker
}

# For builds on a machine without the driver, which has a library that LibTorch for CUDA names.
linker() {
  printf "export RUSTFLAGS='-C link-arg=-Wl,--allow-shlib-undefined'\n"
}

# Makes the folder $1 and sets `dir` to its whole path; where a finished LibTorch of this kind is in it, prints the
# exports and ends.
open_folder() {
  [[ $1 == *\'* ]] && die "the folder's name must not hold a quote: $1"
  [[ -e $1 && ! -d $1 ]] && die "$1 exists and is not a folder"
  mkdir -p "$1" || die "cannot make $1"
  dir=$(cd "$1" && pwd)
  if [[ -f $dir/build-version ]]; then
    local have
    have=$(<"$dir/build-version")
    [[ $have == "$TORCH+$kind" ]] ||
      die "$dir holds LibTorch $have, not $TORCH+$kind: choose another folder or remove it"
    say "LibTorch $have is already in $dir"
    exports
    exit 0
  fi
  [[ -z $(ls -A "$dir") ]] || die "$dir is not empty and holds no finished LibTorch: choose another folder or empty it"
}

# What both scripts need, and a work folder `work` beside `dir`, so that the result is moved and not copied.
prepare() {
  [[ $(uname -s) == Linux && $(uname -m) == x86_64 ]] ||
    die "this recipe is for Linux on x86_64, not $(uname -s) on $(uname -m)"
  command -v python3 >/dev/null || die "python3 is missing (Debian: apt-get install python3 python3-pip)"
  python3 -m pip --version >/dev/null 2>&1 || die "pip is missing for python3 (Debian: apt-get install python3-pip)"
  work=$(mktemp -d "$(dirname "$dir")/.libtorch_$kind.XXXXXX") || die "cannot write beside $dir"
  trap 'rm -rf "$work"' EXIT
  trap 'exit 129' HUP
  trap 'exit 130' INT
  trap 'exit 143' TERM
}

# Wheels of the packages, each NAME==VERSION, into $work/wheels, without what they depend on.
download() {
  TMPDIR=$work python3 -m pip download --quiet --no-cache-dir --no-deps --only-binary=:all: \
    --implementation cp --python-version 3.11 \
    --platform manylinux_2_28_x86_64 --platform manylinux_2_27_x86_64 --platform manylinux2014_x86_64 \
    --dest "$work/wheels" "$@" >&2 || die "pip could not download the wheels"
}

# Unpacks $work/wheels into $work/out: headers and libraries of torch, and the libraries of NVIDIA's packages. Of
# torch's libraries all but Python's, or those that are named; fails where one of `must` (a list with spaces) is not
# there.
unpack() {
  say "unpacking ..."
  python3 - "$work/wheels" "$work/out" "$must" "$@" <<'PY' || die "the wheels could not be unpacked"
import pathlib
import shutil
import sys
import zipfile

wheels, out = map(pathlib.Path, sys.argv[1:3])
must, only = set(sys.argv[3].split()), set(sys.argv[4:])
found = set()


def wanted(name):
    """Where a member of a wheel goes, or None."""
    parts = pathlib.PurePosixPath(name).parts
    if ".." in parts or name.endswith("/"):
        return None
    if parts[:2] == ("torch", "include"):
        return pathlib.Path(*parts[1:])
    if parts[:2] == ("torch", "lib") and len(parts) == 3 and ".so" in parts[2]:
        own = parts[2] in only if only else parts[2] != "libtorch_python.so"
        return pathlib.Path("lib", parts[2]) if own else None
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

missing = (must | only) - found
if missing:
    sys.exit("not in the wheels: " + ", ".join(sorted(missing)))
PY
}

# Fails where one of the libraries needs another one that is not there, except those whose names fit the pattern $1.
check_libraries() {
  local but=$1 so unresolved
  shift
  for so in "$@"; do
    if unresolved=$(LD_LIBRARY_PATH=$work/out/lib ldd "$work/out/lib/$so" | grep 'not found' | grep -Ev "$but"); then
      die "$so does not resolve:"$'\n'"$unresolved"
    fi
  done
}

# Moves the result to its place and prints the exports.
finish() {
  mv "$work/out/include" "$work/out/lib" "$dir/"
  printf '%s\n' "$TORCH+$kind" >"$dir/build-version" # last: it marks a finished folder
  say "LibTorch $TORCH ($kind) is in $dir"
  exports
}
