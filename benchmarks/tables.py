"""Reading and splitting a table of 5 million rows: seconds and peak memory.

    python benchmarks/tables.py [--rows 5000000]

The table is synthetic: a photo each, of 93,000 people. Reading it, and splitting it by
subject, each run in a process of its own; the split's peak includes the table.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

from agelens.data.splits import SubjectKFold, describe_leaks
from agelens.tables import SampleTable, read_table, write_table

PEOPLE = 93_000


def main() -> None:
    options = _options()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "table.parquet"
        _make(path, options.rows)
        print(f"{options.rows:,} rows, {path.stat().st_size / 1e6:.0f} MB of Parquet")
        for task in ("read", "split"):
            command = [sys.executable, __file__, "--task", task, "--table", str(path)]
            subprocess.run(command, check=True)


def _make(path: Path, rows: int) -> None:
    rng = np.random.default_rng(0)
    person = rng.integers(0, PEOPLE, rows)
    number = pd.Series(np.arange(rows)).astype(str).str.zfill(8)
    columns = {
        "sample_id": "synthetic/" + number,
        "dataset": pd.Categorical.from_codes(np.zeros(rows, dtype=np.int8), ["synthetic"]),
        "path": pd.Series(person).astype(str).str.zfill(6) + "/" + number + ".jpg",
        "age_years": rng.integers(0, 90, rows).astype(float),
        "age_kind": pd.Categorical.from_codes(np.zeros(rows, dtype=np.int8), ["real"]),
        "gender": pd.Categorical.from_codes((person % 2).astype(np.int8), ["female", "male"]),
        "subject": pd.Categorical.from_codes(person, [f"p{n:06}" for n in range(PEOPLE)]),
    }
    write_table(SampleTable.from_columns(columns), path)


def _run(task: str, path: Path) -> None:
    start = time.perf_counter()
    table = read_table(path)
    seconds = time.perf_counter() - start
    if task == "split":
        start = time.perf_counter()
        splits = SubjectKFold()(table)
        for split in splits:
            assert describe_leaks(split, table).subject_exclusive
        seconds = time.perf_counter() - start
    # Not getrusage: its peak counts what the parent held when it started this process.
    status = Path("/proc/self/status").read_text(encoding="ascii")
    peak = int(status.split("VmHWM:")[1].split()[0]) / 1024
    what = {"read": "reading", "split": "five splits by subject, checked for leaks"}[task]
    print(f"  {what}: {seconds:.1f} s, peak {peak:.0f} MB")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=5_000_000)
    parser.add_argument("--task", choices=("read", "split"), help=argparse.SUPPRESS)
    parser.add_argument("--table", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.task:
        _run(options.task, options.table)
        sys.exit()
    return options


if __name__ == "__main__":
    main()
