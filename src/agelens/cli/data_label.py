"""`agelens data label`: a model's ages into a table."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from typing import Final

from agelens.data.predictions import (
    AGE_MODEL,
    check_other_chips,
    predict_photos,
    predict_store,
    with_estimated_ages,
)
from agelens.data.store import ChipStore
from agelens.errors import UsageError
from agelens.evaluation.table_checks import tally
from agelens.inference.cards import load_card
from agelens.inference.estimator import AgeEstimator
from agelens.tables import PredictionsTable, SampleTable, read_table, write_table

_SOME_FAILED: Final = 3
_READ: Final = frozenset({"ok", "no_face"})


def label(options: argparse.Namespace) -> int:
    """Estimate, write the table, and say what became of the rows."""
    if options.output.suffix.lower() not in (".parquet", ".csv"):
        raise UsageError(f"{options.output}: a table's name ends in .parquet or .csv")
    is_store = options.faces.is_dir()
    if is_store == (options.root is not None):
        raise UsageError("a table needs --root, where its pictures are; a store has its chips")
    card = load_card(options.model)
    samples, predictions = _of_store(options) if is_store else _of_photos(options)
    model = f"{card.name} {card.version}"
    table = with_estimated_ages(samples, predictions, model, replace=options.replace)
    write_table(table, options.output)
    statuses = tally(predictions.frame["status"])
    labelled = int((table.frame[AGE_MODEL] == model).sum())
    print(", ".join(f"{count:,} {status}" for status, count in statuses.items()))
    print(
        f"{labelled:,} ages are those of {model}, {len(table) - labelled:,} rows are as they were"
    )
    print(f"wrote {options.output}")
    return _SOME_FAILED if set(statuses) - _READ else 0


def _of_store(options: argparse.Namespace) -> tuple[SampleTable, PredictionsTable]:
    store = ChipStore.open(options.faces)
    check_other_chips(store, load_card(options.model))  # before the network is opened
    estimator = AgeEstimator(options.model, workers=options.workers)
    return store.table, predict_store(estimator, store, on_progress=_progress())


def _of_photos(options: argparse.Namespace) -> tuple[SampleTable, PredictionsTable]:
    samples = read_table(options.faces, extra=None)
    estimator = AgeEstimator(options.model, options.detector, workers=options.workers)
    return samples, predict_photos(estimator, samples, options.root, on_progress=_progress())


def _progress() -> Callable[[int, int], None] | None:
    return _show if sys.stderr.isatty() else None


def _show(done: int, rows: int) -> None:
    print(f"\r{done:,} of {rows:,}", end="\n" if done == rows else "", file=sys.stderr, flush=True)
