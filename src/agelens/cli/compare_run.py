"""What `agelens compare` does: models in, a matrix with tests and ranks out."""

from __future__ import annotations

import argparse
import json
from contextlib import nullcontext

import pandas as pd

from agelens.atomic import atomic_folder
from agelens.cli.compared_models import given_models, remarks_on, tables_as_asked
from agelens.cli.registries import show
from agelens.evaluation.comparison import Comparison, compare
from agelens.evaluation.reports.comparison_report import (
    PAGE_NAME,
    comparison_document,
    rank_sentences,
    write_comparison,
)
from agelens.evaluation.reports.comparison_tables import matrix_table, pair_table


def run(options: argparse.Namespace) -> int:
    """Train what is to be trained, compare, write the folder, and print JSON or the findings."""
    # Entered first: that a folder is taken is no news for after hours of training.
    output = atomic_folder(options.output, "comparison") if options.output else nullcontext()
    with output as folder:
        found = _compared(options)
        if folder is not None:
            write_comparison(found, folder)
    if options.json:
        print(json.dumps(comparison_document(found), ensure_ascii=False, allow_nan=False))
        return 0
    _tell(found)
    if options.output is not None:
        print(f"wrote {options.output / PAGE_NAME}")
    return 0


def _compared(options: argparse.Namespace) -> Comparison:
    runs = []
    if options.train:
        from agelens.cli.seed_training import trained_runs  # noqa: PLC0415 - loads torch

        runs = trained_runs(options.train, options.seeds, options.runs)
    models = given_models(options.models, runs)
    return compare(
        tables_as_asked(models, options),
        remarks=remarks_on(models, options),
        mix_age_kinds=options.allow_mixed_age_kinds,
        draws=options.draws,
        flips=options.flips,
        level=options.level,
        seed=options.seed,
    )


def _tell(found: Comparison) -> None:
    print("MAE in years:")
    show(_records(matrix_table(found)), as_json=False)
    if found.pairs:
        print(f"Pairs on the same samples, p after Holm for {len(found.pairs)} tests:")
    for pair in _records(pair_table(found)):
        print(
            f"{pair['dataset']}: {pair['model']} less {pair['less']} {pair['MAE difference']}, "
            f"p {pair['p after Holm']}: {pair['verdict']}"
        )
    for line in (*rank_sentences(found), *found.notes):
        print(line)
    if found.published:
        print(
            f"{len(found.published)} figures that others published on these datasets are in the "
            "folder of --output: other splits and crops, not tested here."
        )


def _records(table: pd.DataFrame) -> list[dict[str, str]]:
    names = [str(name) for name in table]
    rows = [map(str, row) for row in table.itertuples(index=False)]
    return [dict(zip(names, row, strict=True)) for row in rows]
