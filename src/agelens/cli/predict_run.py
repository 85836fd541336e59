"""What `agelens predict` does: labelled faces in, a predictions table out."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pandas as pd

from agelens.cli.chosen_rows import parts_as_asked, rows_as_asked
from agelens.data.predictions import check_other_chips, predict_photos, predict_store
from agelens.data.store import ChipStore
from agelens.errors import UsageError
from agelens.evaluation.table_checks import tally
from agelens.inference.cards import load_card
from agelens.inference.estimator import AgeEstimator
from agelens.tables import PredictionsTable, SampleTable, read_table, write_predictions

_DEFAULT: Final = Path("predictions.parquet")
_SOME_FAILED: Final = 3
_READ: Final = frozenset({"ok", "no_face"})


def run(options: argparse.Namespace) -> int:
    """Predict, write the table, and say what became of the rows."""
    if (options.store is None) == (options.table is None):
        raise UsageError("name the faces: --store STORE, or --table TABLE with --root ROOT")
    if (options.table is None) != (options.root is None):
        raise UsageError("--table and --root go together")
    if options.store is not None and options.gender:
        raise UsageError("--gender needs photos: a store has chips for the age network only")
    output = options.output or _DEFAULT
    if options.output is None and output.exists():
        raise UsageError(f"{output} exists; name another table with -o")
    if output.suffix.lower() not in (".parquet", ".csv"):
        raise UsageError(f"{output}: a table's name ends in .parquet or .csv")
    table = _of_store(options) if options.store is not None else _of_photos(options)
    write_predictions(table, output)
    statuses = tally(table.frame["status"])
    print(", ".join(f"{count:,} {status}" for status, count in statuses.items()))
    print(f"wrote {output}")
    return _SOME_FAILED if set(statuses) - _READ else 0


def predicted_store(
    model: str, folder: Path, options: argparse.Namespace, *, own: bool, mirror: bool = False
) -> PredictionsTable:
    """Predictions of a store's rows, or of those that --split and --part choose.

    Raises:
        UsageError: chips that are not the model's, or no such part.
        DatasetError: no store.
    """
    store = ChipStore.open(folder)
    check_other_chips(store, load_card(model))  # before the network is opened
    parts = parts_as_asked(store.table, options)
    rows = rows_as_asked(parts, options)
    workers = getattr(options, "workers", None)
    estimator = AgeEstimator(model, mirror=mirror, calibrated=not own, workers=workers)
    table = predict_store(estimator, store, rows=rows, on_progress=_progress())
    return _with_parts(table, parts.iloc[rows])


def _of_store(options: argparse.Namespace) -> PredictionsTable:
    return predicted_store(
        options.model, options.store, options, own=options.own_intervals, mirror=options.mirror
    )


def _of_photos(options: argparse.Namespace) -> PredictionsTable:
    table = read_table(options.table, extra=None)
    parts = parts_as_asked(table, options)
    rows = rows_as_asked(parts, options)
    samples = SampleTable(table.frame.iloc[rows], table.extra)
    estimator = AgeEstimator(
        options.model,
        options.detector,
        gender=options.gender,
        mirror=options.mirror,
        calibrated=not options.own_intervals,
        workers=options.workers,
    )
    found = predict_photos(estimator, samples, options.root, on_progress=_progress())
    return _with_parts(found, parts.iloc[rows])


def _with_parts(table: PredictionsTable, parts: pd.Series) -> PredictionsTable:
    frame = table.frame.assign(split=parts.to_numpy(dtype=object))
    return PredictionsTable(frame, table.distribution, table.scale)


def _progress() -> Callable[[int, int], None] | None:
    return _show if sys.stderr.isatty() else None


def _show(done: int, rows: int) -> None:
    print(f"\r{done:,} of {rows:,}", end="\n" if done == rows else "", file=sys.stderr, flush=True)
