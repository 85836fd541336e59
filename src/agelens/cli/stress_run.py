"""What `agelens stress` does: labelled faces in, what damage does to their estimates out."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from agelens.atomic import atomic_folder
from agelens.cli.chosen_rows import parts_as_asked, rows_as_asked
from agelens.cli.registries import show
from agelens.data.predictions.predict import check_other_chips
from agelens.data.predictions.stress import stress_photos, stress_store
from agelens.data.store import ChipStore
from agelens.errors import UsageError
from agelens.evaluation.reports.stress_report import (
    ESTIMATES_NAME,
    PAGE_NAME,
    corruption_table,
    detector_table,
    stress_document,
    stress_sentences,
    write_stress,
)
from agelens.evaluation.sensitivity.conditions import (
    NOT_ON_CHIPS,
    ON_CHIPS,
    STRESSES,
    Condition,
    check_off_chips,
    conditions,
)
from agelens.evaluation.sensitivity.estimates import StressEstimates
from agelens.evaluation.sensitivity.stress import stress
from agelens.imaging.detectors import DETECTORS
from agelens.inference.cards import load_card
from agelens.inference.estimator import AgeEstimator
from agelens.tables import SampleTable, read_table

Progress: TypeAlias = Callable[[int, int], None] | None
Measure: TypeAlias = Callable[[str, Progress], StressEstimates]


def run(options: argparse.Namespace) -> int:
    """Damage, estimate, measure, write the folder, and print what came of it."""
    if (options.store is None) == (options.data is None):
        raise UsageError("name the faces: --data TABLE with --root ROOT, or --store STORE")
    if (options.data is None) != (options.root is None):
        raise UsageError("--data and --root go together")
    if options.limit is not None and options.limit < 1:
        raise UsageError(f"--limit is at least 1, got {options.limit}")
    measure, skipped = _of_store(options) if options.store is not None else _of_photos(options)
    with atomic_folder(options.output, "stress test") as folder:
        with _progress(options.model) as progress:
            estimates = measure(options.model, progress)
        found = stress(
            estimates,
            _reference(options.reference, measure),
            skipped=skipped,
            mix_age_kinds=options.allow_mixed_age_kinds,
            draws=options.draws,
            level=options.level,
            seed=options.seed,
        )
        write_stress(found, estimates, folder)
    if options.json:
        print(json.dumps(stress_document(found), ensure_ascii=False, allow_nan=False))
        return 0
    _print(corruption_table(found))
    _print(detector_table(found).filter(["condition", "MAE", "increase", "failed"]))
    for sentence in stress_sentences(found):
        print(sentence)
    print(f"wrote {options.output / PAGE_NAME}")
    return 0


def _of_store(options: argparse.Namespace) -> tuple[Measure, dict[str, str]]:
    asked = options.corruptions or ON_CHIPS
    check_off_chips(asked)
    wanted = conditions(asked)
    store = ChipStore.open(options.store)
    check_other_chips(store, load_card(options.model))  # before the network is opened
    rows = _rows(store.table, options)

    def measure(model: str, progress: Progress) -> StressEstimates:
        estimator = AgeEstimator(model, workers=options.workers)
        return stress_store(
            estimator, store, wanted, rows=rows, seed=options.seed, on_progress=progress
        )

    return measure, {} if options.corruptions else dict(NOT_ON_CHIPS)


def _of_photos(options: argparse.Namespace) -> tuple[Measure, dict[str, str]]:
    others = [name for name in DETECTORS if name != options.detector]
    wanted: tuple[Condition, ...] = conditions(options.corruptions or STRESSES, others)
    table = read_table(options.data, extra=None)
    rows = _rows(table, options)
    samples = SampleTable(table.frame.iloc[rows], table.extra)

    def measure(model: str, progress: Progress) -> StressEstimates:
        estimator = AgeEstimator(model, options.detector, workers=options.workers)
        return stress_photos(
            estimator, samples, options.root, wanted, seed=options.seed, on_progress=progress
        )

    return measure, {}


def _rows(table: SampleTable, options: argparse.Namespace) -> NDArray[np.int64]:
    """The rows of --part, and of these --limit at random: the first would be of few people."""
    rows = rows_as_asked(parts_as_asked(table, options), options)
    if options.limit is None or options.limit >= len(rows):
        return rows
    chosen = np.random.default_rng(options.seed).choice(rows, options.limit, replace=False)
    return np.sort(chosen)


def _reference(named: str | None, measure: Measure) -> StressEstimates | None:
    if named is None:
        return None
    before = Path(named) / ESTIMATES_NAME
    if before.is_file():
        return StressEstimates.read(before)
    with _progress(named) as progress:
        return measure(named, progress)


@contextmanager
def _progress(model: str) -> Iterator[Progress]:
    """A bar on a terminal, nothing elsewhere."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console  # noqa: PLC0415
    from rich.progress import MofNCompleteColumn, Progress, TimeRemainingColumn  # noqa: PLC0415

    columns = (*Progress.get_default_columns()[:2], MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(Path(model).name, total=None)
        yield lambda done, all_of_them: bar.update(task, completed=done, total=all_of_them)


def _print(table: pd.DataFrame) -> None:
    if len(table):
        names = [str(name) for name in table]
        cells = table.astype(str).itertuples(index=False)
        show([dict(zip(names, row, strict=True)) for row in cells], as_json=False)
