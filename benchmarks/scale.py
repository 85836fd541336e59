"""What large tables and galleries cost: seconds and peak memory, and how both grow.

    python benchmarks/scale.py [--rows 100000 1000000 10000000] [--tasks read split ...]
                               [--draws 1000]

Tables are synthetic: a photo each, 100 of a person. Every task reads its table and works in a
process of its own, through the function that a user calls: `split` five times by subject, checked
for leaks; `evaluate` every metric, with intervals over people; `calibrate` without a model;
`compare` two tables. `exact` and `lists` search a gallery of as many embeddings of 128 numbers, of
as many people: seconds of one query, and of building the inverted file. `lists` finds the right
row in the share of queries that is printed.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from agelens.data.splits import SubjectKFold, describe_leaks
from agelens.evaluation import calibrate, compare, evaluate
from agelens.recognition.nearest_faces import ExactSearch, FaissSearch
from agelens.tables import PredictionsTable, SampleTable, read_predictions, write_predictions
from peak_memory import peak_mb

PHOTOS_A_PERSON, QUERIES = 100, 100


def main() -> None:
    options = _options()
    if options.file:
        _run(options.tasks[0], options.rows[0], options.file, options.draws)
        return
    with tempfile.TemporaryDirectory() as folder:
        for rows in options.rows:
            files = [Path(folder) / f"{rows}-{model}.parquet" for model in (0, 1)]
            if set(options.tasks) - {"exact", "lists"}:
                for model, file in enumerate(files):
                    write_predictions(_predictions(rows, model), file)
                print(f"{rows:,} rows, {files[0].stat().st_size / 1e6:.0f} MB of Parquet")
            for task in options.tasks:
                own = ("--tasks", task, "--rows", str(rows), "--draws", str(options.draws))
                command = [sys.executable, __file__, *own, "--file", str(files[0])]
                subprocess.run(command, check=True)


def _predictions(rows: int, model: int) -> PredictionsTable:
    rng = np.random.default_rng(0)
    age = rng.integers(0, 90, rows).astype(float)
    person = rng.integers(0, max(rows // PHOTOS_A_PERSON, 5), rows)
    estimate = np.maximum(age + np.random.default_rng(model + 1).normal(0, 6, rows), 0)
    columns = {
        "sample_id": "synthetic/" + pd.Series(np.arange(rows)).astype(str).str.zfill(8),
        "dataset": _words(np.zeros(rows, int), ["synthetic"]),
        "age_years": age,
        "age_kind": _words(np.zeros(rows, int), ["real"]),
        "gender": _words(person % 2, ["female", "male"]),
        "subject": _words(person, [f"p{number:06}" for number in range(person.max() + 1)]),
        "estimate_years": estimate,
        "low_years": np.maximum(estimate - 8, 0),
        "high_years": estimate + 8,
        "interval_level": 0.9,
        "model": f"model {model}",
    }
    return PredictionsTable.from_columns(columns)


def _words(codes: np.ndarray, words: list[str]) -> pd.Categorical:
    return pd.Categorical.from_codes(codes, words)


def _read(_: int, file: Path, __: int) -> str:
    return f"{len(read_predictions(file)):,} rows read"


def _split(_: int, file: Path, __: int) -> str:
    frame = read_predictions(file).frame
    names = ("sample_id", "dataset", "age_years", "age_kind", "gender", "subject")
    columns = {name: frame[name] for name in names} | {"path": frame["sample_id"]}
    table = SampleTable.from_columns(columns)
    for split in SubjectKFold()(table):
        assert describe_leaks(split, table).subject_exclusive
    return "five folds by subject, without a leak"


def _evaluate(_: int, file: Path, draws: int) -> str:
    found = evaluate(file, draws=draws)
    return f"{len(found.to_frame())} figures"


def _calibrate(_: int, file: Path, __: int) -> str:
    return f"{len(calibrate(file).to_frame())} figures"


def _compare(rows: int, file: Path, draws: int) -> str:
    other = file.with_name(f"{rows}-1.parquet")
    return f"{len(compare(file, other, draws=draws).to_frame())} figures"


def _gallery(rows: int) -> tuple[np.ndarray, np.ndarray]:
    """Vectors of length 1, and for each query the vector of its row, moved by half of its own."""
    rng = np.random.default_rng(0)
    vectors = rng.standard_normal((rows, 128), dtype=np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    queries = vectors[:QUERIES] + 0.05 * rng.standard_normal((QUERIES, 128), dtype=np.float32)
    return vectors, queries / np.linalg.norm(queries, axis=1, keepdims=True)


def _searched(search: ExactSearch | FaissSearch, queries: np.ndarray) -> str:
    start = time.perf_counter()
    first = [int(search.nearest(query, 10)[0][0]) for query in queries]
    each = (time.perf_counter() - start) / len(queries)
    right = np.mean(np.array(first) == np.arange(len(queries)))
    return f"{1000 * each:.1f} ms a query, {right:.0%} right"


def _exact(rows: int, _: Path, __: int) -> str:
    vectors, queries = _gallery(rows)
    return _searched(ExactSearch(vectors), queries)


def _lists(rows: int, _: Path, __: int) -> str:
    vectors, queries = _gallery(rows)
    start = time.perf_counter()
    search = FaissSearch.build(vectors)
    built = time.perf_counter() - start
    return f"built in {built:.0f} s, {_searched(search, queries)}"


TASKS: dict[str, Callable[[int, Path, int], str]] = {
    "read": _read,
    "split": _split,
    "evaluate": _evaluate,
    "calibrate": _calibrate,
    "compare": _compare,
    "exact": _exact,
    "lists": _lists,
}


def _run(task: str, rows: int, file: Path, draws: int) -> None:
    start, processor = time.perf_counter(), time.process_time()
    done = TASKS[task](rows, file, draws)
    seconds, own = time.perf_counter() - start, time.process_time() - processor
    peak = peak_mb()
    print(
        f"{task:10} {rows:>11,}: {seconds:7.1f} s (processor {own:7.1f} s), peak {peak:6.0f} MB; "
        f"{done}",
        flush=True,
    )


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, nargs="+", default=[100_000, 1_000_000, 10_000_000])
    parser.add_argument("--tasks", nargs="+", choices=TASKS, default=list(TASKS))
    parser.add_argument("--draws", type=int, default=1000)
    parser.add_argument("--file", type=Path, help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
