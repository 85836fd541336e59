"""What `agelens evaluate` does: predictions in, figures with intervals out."""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from agelens.atomic import atomic_folder
from agelens.cli.read_tables import read_predictions_as_asked
from agelens.cli.registries import show
from agelens.errors import UsageError
from agelens.evaluation.by_group import FIGURE_COLUMN, evaluate_groups
from agelens.evaluation.evaluate import evaluate, worst_errors
from agelens.evaluation.metrics import METRICS
from agelens.evaluation.reports.evaluation_figures import EvaluatedTable
from agelens.evaluation.reports.evaluation_report import (
    PAGE_NAME,
    evaluation_document,
    write_evaluation,
)
from agelens.evaluation.reports.page import with_interval

_FOR_FIGURES = ("mae", "bias")


def run(options: argparse.Namespace) -> int:
    """Evaluate each table, write the folder, and print JSON or the figures of all rows."""
    if options.root is not None and options.store is not None:
        raise UsageError("pictures come from --root or from --store, not from both")
    if options.output is None and (options.root is not None or options.store is not None):
        raise UsageError("pictures of the worst errors need a folder: --output DIR")
    names = _names(options.tables)
    shown = [
        _evaluated(name, path, options) for name, path in zip(names, options.tables, strict=True)
    ]
    if options.output is not None:
        with atomic_folder(options.output, "evaluation") as folder:
            write_evaluation(shown, folder)
            _write_pictures(shown, folder, options)
    if options.json:
        print(json.dumps(evaluation_document(shown), ensure_ascii=False, allow_nan=False))
        return 0
    _tell(shown)
    if options.output is not None:
        print(f"wrote {options.output / PAGE_NAME}")
    return 0


def _names(paths: Sequence[Path]) -> list[str]:
    """A name for each table: its file's, with its folder's where two are alike."""
    stems = Counter(path.stem for path in paths)
    names = [
        path.stem if stems[path.stem] == 1 else f"{path.resolve().parent.name}/{path.stem}"
        for path in paths
    ]
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise UsageError(f"tables of one name cannot be told apart: {', '.join(twice)}")
    return names


def _evaluated(name: str, path: Path, options: argparse.Namespace) -> EvaluatedTable:
    predictions = read_predictions_as_asked(path, options)
    mix = options.allow_mixed_age_kinds
    resampled = {"draws": options.draws, "level": options.level, "seed": options.seed}
    found = evaluate(predictions, options.metrics, mix_age_kinds=mix, **resampled)
    by, metrics = options.by, options.metrics
    has_ages = bool(predictions.frame["age_years"].notna().any())
    if by is not None and has_ages:
        by = (*by, FIGURE_COLUMN)
    if metrics is not None:
        metrics = tuple(dict.fromkeys((*metrics, *(_FOR_FIGURES if has_ages else ()))))
    groups = evaluate_groups(predictions, by, metrics, mix_age_kinds=mix, **resampled)
    return EvaluatedTable(name, predictions, found, groups)


def _write_pictures(
    shown: Sequence[EvaluatedTable], folder: Path, options: argparse.Namespace
) -> None:
    if options.root is None and options.store is None:
        return
    from agelens.data.predictions.worst_pictures import (  # noqa: PLC0415 - loads OpenCV
        FOLDER,
        chips_of,
        photos_below,
        write_worst_pictures,
    )
    from agelens.data.store import ChipStore  # noqa: PLC0415

    picture_of = (
        photos_below(options.root)
        if options.root is not None
        else chips_of(ChipStore.open(options.store, verify=False))
    )
    worst = [(one.name, worst_errors(one.predictions)) for one in shown]
    if not write_worst_pictures(worst, picture_of, folder):
        where = options.root or options.store
        raise UsageError(f"none of the worst errors' pictures is in {where}")
    if not options.json:
        print(f"pictures of people, for this machine only: {options.output / FOLDER}")


def _tell(shown: Sequence[EvaluatedTable]) -> None:
    names = dict.fromkeys(name for one in shown for name in one.evaluation.metrics)
    rows = []
    for name in names:
        row = {"metric": name}
        for one in shown:
            result = one.evaluation.metrics.get(name)
            share = METRICS[name].unit == "share"
            row[one.name] = (
                ""
                if result is None
                else with_interval(result.value, result.low, result.high, share=share)
            )
        rows.append(row)
    show(rows, as_json=False)
    for one in shown:
        counts = one.evaluation.counts
        kinds = ", ".join(f"{count:,} {kind}" for kind, count in counts.age_kinds.items())
        print(
            f"{one.name}: {counts.rows:,} rows of {counts.people:,} people, "
            f"{counts.without_estimate:,} without estimate, {counts.without_age:,} without age; "
            f"ages: {kinds or 'none'}"
        )
