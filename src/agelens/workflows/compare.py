"""Compare models on the same samples: tables, runs, and models tried on chip stores."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from agelens.errors import UsageError
from agelens.evaluation.comparison.common_samples import ComparedTable, compared_tables
from agelens.evaluation.comparison.compare_tables import compare_tables
from agelens.evaluation.comparison.run_differences import budget_note, run_differences
from agelens.evaluation.finished_runs import FinishedRun, finished_run, model_names
from agelens.evaluation.given_models import Given, given_models, tables_of
from agelens.evaluation.given_tables import Labels, Reading
from agelens.evaluation.reports.comparison_page import ComparisonReport
from agelens.tables import ColumnMapping, PredictionsTable
from agelens.workflows.chosen import Chosen, card_of


def compare(
    *models: Any,
    on: Sequence[Any] = (),
    columns: ColumnMapping | None = None,
    labels: Labels | None = None,
    age_kind: str | None = None,
    chosen: Chosen | None = None,
    mix_age_kinds: bool = False,
    draws: int = 1000,
    flips: int = 10_000,
    level: float = 0.95,
    seed: int = 0,
) -> ComparisonReport:
    """Compare models dataset by dataset, on the samples that all of them answer.

    >>> compare("runs/first", {"theirs": "theirs.csv"})  # doctest: +SKIP

    Args:
        models: predictions (paths, frames, `PredictionsTable`s), runs or their folders, or, with
            `on`, models by name, card or folder; a mapping gives them names, several under one
            name being its seeds. Of runs, those of one configuration are seeds of one model.
        on: chip stores for all models and runs to be tried on, in place of the runs' own test
            predictions; ``STORE@PART`` takes a part. Of a run's own store its test part is taken.
        columns: see `agelens.evaluation.evaluate`.
        labels: see `agelens.evaluation.evaluate`.
        age_kind: see `agelens.evaluation.evaluate`.
        chosen: which faces of the stores.
        mix_age_kinds: whether real, apparent and estimated ages may be measured together.
        draws: of the bootstrap by person; 0 leaves the intervals out.
        flips: of the permutation test.
        level: of the intervals.
        seed: of draws and flips.

    Raises:
        TableError: a table without ages, or two with different ages of one sample.
        UsageError: nothing to compare; a model without faces to be tried on; models without a
            common sample; see `compare_tables`.
    """
    given = given_models(models)
    if not given:
        raise UsageError("nothing to compare: name tables, runs or models, or --train CONFIG")
    places = [on] if isinstance(on, str | Path) else list(on)
    read, notes = tables_of(given, Reading(columns, labels, age_kind))
    tables = [
        *read,
        *_of_models([one for one in given if not one.is_table], places, chosen or Chosen()),
    ]
    found = compare_tables(
        tables,
        remarks=[*_remarks(given, tried=bool(places)), *notes],
        mix_age_kinds=mix_age_kinds,
        draws=draws,
        flips=flips,
        level=level,
        seed=seed,
    )
    runs = _runs(given)
    differences = run_differences(runs)
    return ComparisonReport(
        replace(
            found,
            notes=(*budget_note(list(runs), differences), *found.notes),
            compared_runs=tuple(runs),
            differences=tuple(differences),
        )
    )


def _runs(models: Sequence[Given]) -> dict[str, FinishedRun]:
    """One run for each recipe, by its model's name."""
    folders = [one.run for one in models if one.run is not None]
    runs = [finished_run(folder) for folder in folders]
    given = [one.name for one in models if one.run is not None]
    named = zip(given, model_names(runs), runs, strict=True)
    found: dict[str, FinishedRun] = {}
    for name, own, run in named:
        found.setdefault(name or own, run)
    return found


def _remarks(models: Sequence[Given], *, tried: bool) -> list[str]:
    """What runs and cards say of themselves, one sentence each."""
    found = []
    for one in models:
        if one.run is not None:
            run = finished_run(one.run)
            found += [f"{run.name}: {remark}." for remark in run.remarks]
        elif tried and not one.is_table:
            card = card_of(one.model)
            notes = card.document.get("notes", [])
            found += [f"{card.name}, by its card: {note}" for note in notes]
    return found


def _of_models(
    models: Sequence[Given], on: Sequence[Any], chosen: Chosen
) -> Iterator[ComparedTable]:
    runs = {one.run: finished_run(one.run) for one in models if one.run is not None}
    names = dict(zip(runs, model_names(list(runs.values())), strict=True))
    for one in models:
        folder = one.run
        name = one.name or (None if folder is None else names[folder])
        seed = None if folder is None else runs[folder].seed
        if on:
            for place in on:
                table = _tried(one, place, chosen)
                yield from compared_tables(
                    table, name or one.stem, rename=name is not None, seed=seed
                )
        elif folder is not None and name is not None:
            for table in runs[folder].test_predictions():
                yield from compared_tables(table, name, rename=True, seed=seed)
        else:
            raise UsageError(
                f"{one.model} is neither a table of predictions (.parquet, .csv) nor a run of "
                "agelens train; a model needs faces to be tried on: --on STORE"
            )


def _tried(one: Given, place: Any, chosen: Chosen) -> PredictionsTable:
    """A model's answers to the chips of a store, or of STORE@PART."""
    folder, at, part = place.rpartition("@") if isinstance(place, str) else ("", "", "")
    if at and not Path(place).exists():
        place, chosen = folder, replace(chosen, part=part)
    from agelens.workflows.predict import predict  # noqa: PLC0415 - loads onnxruntime

    return predict(place, model=one.model, chosen=chosen)
