"""Evaluating a million predictions with a thousand bootstrap draws: seconds and peak memory.

    python benchmarks/evaluation.py [--rows 1000000] [--draws 1000] [--people 50000]

The predictions are synthetic. Each task reads the table in a process of its own: `everybody`
evaluates with every metric that the columns allow, `groups` measures the same metrics by age
band, gender, ethnicity and dataset as well, `distribution` evaluates a table with 101
probabilities a row. Seconds are the clock's and the processor's: on a busy machine the two
differ.
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

from agelens.ages import AgeScale
from agelens.evaluation.all_rows import choose_metrics, evaluate_all, metric_columns
from agelens.evaluation.bootstrap.grouped_metrics import GroupedMetrics, bootstrap
from agelens.evaluation.bootstrap.groupings import Grouping, person_codes
from agelens.tables import PredictionsTable, read_predictions, write_predictions
from peak_memory import peak_mb

TASKS = {
    "everybody": "every metric, everybody",
    "groups": "every metric, everybody and by four groupings",
    "distribution": "every metric, with distributions of 101 ages",
}


def main() -> None:
    options = _options()
    with tempfile.TemporaryDirectory() as folder:
        for task in TASKS:
            path = Path(folder) / f"{task}.parquet"
            write_predictions(_predictions(options, posterior=task == "distribution"), path)
            command = [sys.executable, __file__, "--task", task, "--table", str(path)]
            subprocess.run([*command, "--draws", str(options.draws)], check=True)


def _predictions(options: argparse.Namespace, *, posterior: bool) -> PredictionsTable:
    rng, rows = np.random.default_rng(0), options.rows
    age = rng.integers(0, 90, rows).astype(float)
    estimate = np.maximum(age + rng.normal(0, 6, rows), 0)
    who = rng.integers(0, options.people, rows)
    columns = {
        "sample_id": "synthetic/" + pd.Series(np.arange(rows)).astype(str).str.zfill(8),
        "dataset": _words(rng.integers(0, 3, rows), 3),
        "age_years": age,
        "age_std": rng.uniform(1, 5, rows),
        "age_kind": "real",
        "gender": np.array(["female", "male"])[who % 2],
        "gender_estimate": np.array(["female", "male"])[rng.integers(0, 2, rows)],
        "ethnicity": _words(who % 5, 5),
        "subject": _words(who, options.people),
        "estimate_years": estimate,
        "low_years": estimate - 8,
        "high_years": estimate + 8,
        "interval_level": 0.9,
    }
    table = PredictionsTable.from_columns(columns)
    if not posterior:
        return table
    scale = AgeScale.yearly(0, 100)
    ages = np.arange(101, dtype=np.float32)
    mass = np.exp(-np.square(estimate.astype(np.float32)[:, np.newaxis] - ages) / 50)
    mass += np.float32(1e-6)
    mass /= mass.sum(axis=1, keepdims=True)
    return PredictionsTable(table.frame, mass, scale)


def _words(codes: np.ndarray, count: int) -> pd.Categorical:
    return pd.Categorical.from_codes(codes, [f"w{number:06}" for number in range(count)])


def _run(task: str, path: Path, draws: int) -> None:
    start, processor = time.perf_counter(), time.process_time()
    table = read_predictions(path)
    read = time.perf_counter() - start
    if task == "groups":
        _measure_groups(table, draws)
    else:
        evaluate_all(table, draws=draws)
    seconds, of_processor = time.perf_counter() - start, time.process_time() - processor
    peak = peak_mb()
    print(
        f"{TASKS[task]}: {len(table):,} rows, {draws:,} draws: {seconds:.1f} s, of which reading "
        f"{read:.1f} s (processor {of_processor:.1f} s), peak {peak:.0f} MB",
        flush=True,
    )


def _measure_groups(table: PredictionsTable, draws: int) -> None:
    frame = table.frame
    bands = pd.cut(frame["age_years"], [0, 13, 18, 25, 35, 45, 55, 65, np.inf], right=False)
    groupings = [
        Grouping.everybody(len(frame)),
        Grouping.by_words(bands.astype(str).rename("age band")),
        *(Grouping.by_words(frame[name]) for name in ("gender", "ethnicity", "dataset")),
    ]
    columns = metric_columns(table)
    chosen = choose_metrics(columns, None)
    measured = GroupedMetrics(chosen, columns, person_codes(frame), groupings)
    measured.values()
    bootstrap(measured, draws=draws)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--draws", type=int, default=1000)
    parser.add_argument("--people", type=int, default=50_000)
    parser.add_argument("--task", choices=TASKS, help=argparse.SUPPRESS)
    parser.add_argument("--table", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.task:
        _run(options.task, options.table, options.draws)
        sys.exit()
    return options


if __name__ == "__main__":
    main()
