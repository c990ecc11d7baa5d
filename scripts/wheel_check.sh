#!/usr/bin/env bash
# Builds the Python wheel, installs it into a new virtual environment in an empty folder, and runs maclip there.
#
#   scripts/wheel_check.sh [WHEEL]      # with WHEEL, nothing is built
#
# The wheel goes to the folder `wheels` in cargo's target folder, which is also what it is built in. Needs maturin (`pip
# install maturin`) and Python with venv. Prints the time of each part; exit status 1 where a part fails.
set -euo pipefail
cd "$(dirname "$0")/.."

mkdir -p "${CARGO_TARGET_DIR:-target}"
target=$(cd "${CARGO_TARGET_DIR:-target}" && pwd)
wheel=${1:-}
[[ -z $wheel ]] || wheel=$(realpath "$wheel")

die() {
  echo "FAILED: $*" >&2
  exit 1
}

# part NAME COMMAND…: what it took, and its output where it fails.
part() {
  local name=$1 from=$SECONDS out
  shift
  if ! out=$("$@" 2>&1); then
    printf '%s\n' "$out" >&2
    die "$name"
  fi
  last=$out
  echo "ok  $((SECONDS - from)) s  $name"
}

python3 -c 'import ensurepip, venv' 2>/dev/null ||
  die "no Python with venv; install it (Debian: apt-get install python3-venv)"
if [[ -z $wheel ]]; then
  python3 -m maturin --version >/dev/null 2>&1 || die "no maturin; install it: python3 -m pip install maturin"
  rm -rf "$target/wheels"
  # No check for other Linux systems: this wheel is for here.
  CARGO_TARGET_DIR=$target part "build the wheel" \
    python3 -m maturin build --release --locked --auditwheel skip --out "$target/wheels"
  wheels=("$target"/wheels/maclip-*.whl)
  wheel=${wheels[0]}
  [[ -f $wheel ]] || die "maturin made no wheel"
fi

empty=$(mktemp -d)
trap 'rm -rf "$empty"' EXIT
cd "$empty"
maclip=$empty/venv/bin/maclip
# As on a new machine: nothing of this one's environment but the system's programs.
alone() {
  env -i PATH="$empty/venv/bin:/usr/local/bin:/usr/bin:/bin" HOME="$empty" LANG=C.UTF-8 "$@"
}

part "a virtual environment" python3 -m venv "$empty/venv"
part "pip install $(basename "$wheel")" alone "$empty/venv/bin/python" -m pip install --no-index --no-deps "$wheel"
[[ -x $maclip ]] || die "the wheel has no program"
part "maclip doctor" alone maclip doctor
grep -q 'recipes in the program' <<<"$last" || die "doctor does not count the recipes: $last"
short=(--set name=quickstart --set task.train.steps=6 --set task.train.validate_every_steps=3
  --set 'task.validation={episodes: 20, clips_per_class: 3}' --set 'task.test={episodes: 60, clips_per_class: 4}'
  --set dataset.clips_per_class=6)
part "maclip run quickstart, shortened" alone maclip run quickstart "${short[@]}"
grep -q 'report: runs/quickstart/report/index.html' <<<"$last" || die "no report: $last"
[[ -s runs/quickstart/report/index.html ]] || die "the report's page is not there"
part "the same command again" alone maclip run quickstart "${short[@]}"
grep -q 'done already' <<<"$last" || die "it began again: $last"
part "maclip status quickstart" alone maclip status quickstart "${short[@]}"
grep -q ' done ' <<<"$last" || die "no run is done: $last"
part "pip uninstall" alone "$empty/venv/bin/python" -m pip uninstall --yes maclip
[[ ! -e $maclip ]] || die "the program is still there"
