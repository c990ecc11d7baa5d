#!/usr/bin/env python3
"""Executes a notebook on a report, cell by cell in one Python, without a Jupyter.

    python3 scripts/notebook_check.py NOTEBOOK REPORT

What the last line of a cell gives is shown as a notebook would: a chart is made into its specification, a table into text. One line
for each cell; exit status 1 where one fails, 77 without polars and Altair (1 with MACLIP_REQUIRE=1).
"""

import argparse
import ast
import importlib.util
import json
import os
import sys
import traceback
from pathlib import Path

from skip import skip


def shown(value):
    """What a notebook shows of a value, in a few words."""
    if value is None:
        return "nothing"
    if type(value).__module__.startswith("altair"):
        return f"a chart of {len(json.dumps(value.to_dict())):,} bytes"
    if hasattr(value, "height"):
        return f"a table of {value.height} rows and {value.width} columns"
    return type(value).__name__


def execute(source, name, names):
    """Executes the cell `source` and returns the value of its last line, where that is an expression."""
    tree = ast.parse(source, name)
    last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    exec(compile(tree, name, "exec"), names)
    return eval(compile(ast.Expression(last.value), name, "eval"), names) if last else None


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("notebook", type=Path)
    parser.add_argument("report", type=Path)
    arguments = parser.parse_args()
    for path in [arguments.notebook, arguments.report]:
        if not path.exists():
            parser.error(f"{path} is no file or folder")
    for package in ["polars", "altair"]:
        if importlib.util.find_spec(package) is None:
            return skip(f"no {package} for Python", f"install it (`pip install {package}`)")
    os.environ["MACLIP_REPORT"] = str(arguments.report)
    names = {"__name__": "__main__"}
    cells = json.loads(arguments.notebook.read_text())["cells"]
    for cell in (cell for cell in cells if cell["cell_type"] == "code"):
        try:
            print(f"ok     {cell['id']}: {shown(execute(''.join(cell['source']), cell['id'], names))}")
        except Exception:
            print(f"FAILED {cell['id']}: {traceback.format_exc(limit=-2)}")
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
