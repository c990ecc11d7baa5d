#!/usr/bin/env python3
"""Reads the frames of a report as a Python user would, and checks that CSV and Parquet hold the same.

    python3 scripts/frame_check.py FOLDER

FOLDER holds runs.csv, runs.parquet, variants.csv and variants.parquet. Needs polars, or pandas with pyarrow; exit status 77 without
(1 with MACLIP_REQUIRE=1). One line for each frame; exit status 1 where names, rows, types, nulls or values differ. Numbers may differ
by 1e-12 of their size.
"""

import argparse
import importlib.util
import math
import sys
from pathlib import Path

from skip import skip

FRAMES = ["runs", "variants"]
CLOSE = 1e-12
SHOWN_PROBLEMS = 5


def with_polars(csv, parquet):
    """Columns of the CSV as text, of the Parquet as values, and which columns of each are numbers."""
    import polars

    def numeric(frame):
        return {name for name, kind in frame.schema.items() if kind.is_numeric()}

    written, packed = polars.read_csv(csv, infer_schema=False), polars.read_parquet(parquet)
    read = polars.read_csv(csv, infer_schema_length=None)
    return written.to_dict(as_series=False), packed.to_dict(as_series=False), numeric(read), numeric(packed)


def with_pandas(csv, parquet):
    """The same. Empty text and NaN count as null, as pandas keeps them no more apart than a CSV does."""
    import pandas

    def plain(value):
        if pandas.isna(value) or value in ("", "NaN"):
            return None
        return value.item() if hasattr(value, "item") else value

    def columns(frame):
        return {name: [plain(value) for value in frame[name]] for name in frame}

    def numeric(frame):
        kinds = pandas.api.types
        return {n for n in frame if kinds.is_numeric_dtype(frame[n]) and not kinds.is_bool_dtype(frame[n])}

    written = pandas.read_csv(csv, dtype=str, keep_default_na=False, na_values=[""])
    packed = pandas.read_parquet(parquet, dtype_backend="numpy_nullable")
    return columns(written), columns(packed), numeric(pandas.read_csv(csv)), numeric(packed)


def same(text, value):
    """Whether a cell of a CSV says what a cell of a Parquet file holds."""
    if text is None or value is None:
        return text is value
    if isinstance(value, bool):
        return text.lower() == str(value).lower()
    if isinstance(value, str):
        return text == value
    try:
        number = float(text)
    except ValueError:
        return False
    if not math.isfinite(value):
        return number == value or math.isnan(number) and math.isnan(value)
    return abs(number - value) <= CLOSE * max(1.0, abs(value))


def compare(csv, parquet, read):
    """How many rows and columns there are, and what differs."""
    missing = [f"{path.name} is missing" for path in (csv, parquet) if not path.is_file()]
    if missing:
        return "", missing
    written, packed, read_as_numbers, numbers = read(csv, parquet)
    if list(written) != list(packed):
        return "", [f"the columns are {', '.join(written)} in CSV and {', '.join(packed)} in Parquet"]
    problems = []
    for name, texts in written.items():
        values = packed[name]
        if len(texts) != len(values):
            return "", [f"{len(texts)} rows in CSV and {len(values)} in Parquet"]
        pairs = enumerate(zip(texts, values))
        wrong = [(row, text, value) for row, (text, value) in pairs if not same(text, value)]
        problems += [f"{name}, row {row + 1}: {text!r} in CSV, {value!r} in Parquet" for row, text, value in wrong]
        if name in numbers - read_as_numbers and any(value is not None for value in values):
            problems.append(f"{name} is a number in Parquet, and read from CSV it is none")
    rows = len(next(iter(packed.values()), []))
    return f"{rows} rows, {len(packed)} columns", problems


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    if not folder.is_dir():
        parser.error(f"{folder} is no folder")
    there = {name: importlib.util.find_spec(name) is not None for name in ("polars", "pandas", "pyarrow")}
    if there["polars"]:
        read = with_polars
    elif there["pandas"] and there["pyarrow"]:
        read = with_pandas
    else:
        return skip("neither polars nor pandas with pyarrow", "install one of them (`pip install polars`)")
    well = True
    for name in FRAMES:
        seen, problems = compare(folder / f"{name}.csv", folder / f"{name}.parquet", read)
        more = len(problems) - SHOWN_PROBLEMS
        told = "; ".join(problems[:SHOWN_PROBLEMS]) + (f"; and {more} more" if more > 0 else "")
        print(f"FAILED {name}: {told}" if problems else f"ok     {name}: {seen}")
        well = well and not problems
    return 0 if well else 1


if __name__ == "__main__":
    sys.exit(main())
