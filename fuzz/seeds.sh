#!/bin/sh
# A corpus to start from: the shipped recipes, and some of them with `--set` arguments. Usage: fuzz/seeds.sh [FOLDER]
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
to=${1:-$root/fuzz/corpus/recipe_reader}
mkdir -p "$to"
find "$root/recipes" -name '*.yaml' | sort | while read -r file; do
    name=$(printf %s "${file#"$root/recipes/"}" | tr / - | sed "s/\.yaml$//")
    # What extends another file cannot be read from memory; the rest of it can.
    grep -v '^ *#' "$file" | grep -v '^extends:' > "$to/$name"
    printf '\377task.shot=5\377adapter.type=none\377optimizer.learning_rate=${env:A}' | cat "$to/$name" - > "$to/$name-sets"
    printf '\376alignment: {type: trx}\noptimizer: {learning_rate: 1e-2}\n' | cat "$to/$name" - > "$to/$name-over"
done
printf 'a: &a {x: 1, y: [1, 2]}\nb: {<<: *a, x: "${a.y.0}"}\nc: *a\nd: "v${b.x}-${env:NO:-4}"\n' > "$to/references"
printf 'seed: 0x1F\nname: |\n  two\n  lines\ndescription: "\\u0007 \\ud83d\\ude00"\nframes: [1, 2, -.inf]\ndataset: {1: {seed: 2}}\n' > "$to/scalars"
