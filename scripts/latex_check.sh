#!/usr/bin/env bash
# Compiles every table of a report as a paper would have it: in an article with booktabs, siunitx and xcolor and nothing else.
#
#   scripts/latex_check.sh FOLDER [--png DIR]
#
# Takes FOLDER/tables/*.tex, or FOLDER/*.tex where there is no such folder. One line for each table; exit status 1 if one has an
# error or a box more than 20pt too wide, 77 without pdflatex and the two packages (1 with MACLIP_REQUIRE=1). --png writes a picture
# of each with pdftoppm.
set -euo pipefail

WIDEST=20  # pt that a table may be wider than the text

usage() {
  echo "usage: $0 FOLDER [--png DIR]" >&2
  exit 2
}

[[ $# -eq 1 || ($# -eq 3 && $2 == --png) ]] || usage
[[ -d $1 ]] || { echo "latex_check.sh: $1 is no folder" >&2; exit 2; }
folder=$(cd "$1" && pwd)
pictures=${3-}
if ! command -v pdflatex >/dev/null || ! kpsewhich booktabs.sty >/dev/null || ! kpsewhich siunitx.sty >/dev/null; then
  missing="no pdflatex with booktabs and siunitx"
  get="install them (\`apt install texlive-latex-recommended texlive-science\`)"
  if [[ ${MACLIP_REQUIRE:-0} != 0 ]]; then
    echo "FAILED: $missing; $get. MACLIP_REQUIRE is set, and turns this into a failure"
    exit 1
  fi
  echo "skipped: $missing; $get"
  exit 77
fi
if [[ -n $pictures ]]; then
  command -v pdftoppm >/dev/null || { echo "latex_check.sh: --png needs pdftoppm, of poppler-utils" >&2; exit 2; }
  mkdir -p "$pictures"
fi
[[ -d $folder/tables ]] && folder=$folder/tables

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# What pdflatex complained about, in one line; nothing where all is well.
complaints() {
  local log=$1
  # An error stands on a line that begins with `!`, and where it is on one that begins with `l.`.
  grep -A 8 '^!' "$log" | grep -E '^(!|l\.[0-9])' | head -4 || true
  grep -oE '^Overfull \\hbox \([0-9.]+pt too wide\)' "$log" | awk -v most="$WIDEST" '
    { width = $3; gsub(/[^0-9.]/, "", width); if (width + 0 > most) print }' || true
  grep -E '^LaTeX Warning: (Reference|Citation).*undefined' "$log" || true
}

shopt -s nullglob
tables=("$folder"/*.tex)
if ((${#tables[@]} == 0)); then
  echo "FAILED no table: $folder holds no .tex"
  exit 1
fi
failed=0
for table in "${tables[@]}"; do
  name=$(basename "$table" .tex)
  # A name of ours: LaTeX does not take every name.
  cp "$table" "$work/table.tex"
  cat >"$work/paper.tex" <<'TEX'
\documentclass{article}
\usepackage{booktabs}
\usepackage{siunitx}
\usepackage{xcolor}
\pagestyle{empty}
\begin{document}
\input{table}
\end{document}
TEX
  rm -f "$work/paper.pdf" "$work/paper.log"
  status=0
  # Twice, for what refers to something. Long lines, so that a message is not broken.
  for _ in 1 2; do
    (cd "$work" && max_print_line=1000 timeout 60 pdflatex -interaction=nonstopmode -no-shell-escape paper.tex) \
      >/dev/null 2>&1 </dev/null || status=$?
  done
  told=$(complaints "$work/paper.log" 2>/dev/null | paste -sd ' ')
  if [[ -z $told && ($status -ne 0 || ! -s $work/paper.pdf) ]]; then
    told="pdflatex ended with status $status and $([[ -s $work/paper.pdf ]] && echo a || echo no) page"
  fi
  if [[ -n $told ]]; then
    echo "FAILED $name: $told"
    failed=1
    continue
  fi
  if [[ -n $pictures ]]; then
    pdftoppm -png -r 200 -singlefile "$work/paper.pdf" "$pictures/$name"
  fi
  echo "ok     $name"
done
exit "$failed"
