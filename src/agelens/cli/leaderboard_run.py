"""What `agelens leaderboard` does: run folders in, one markdown page out."""

from __future__ import annotations

import argparse
import os
import platform
import shlex
from typing import Final

import numpy as np
from numpy.typing import NDArray

from agelens.atomic import write_atomically
from agelens.cli.finished_runs import FinishedRun, finished_run, model_names
from agelens.errors import UsageError
from agelens.evaluation.calibrate import uncalibrated_outputs
from agelens.evaluation.comparison import ComparedTable, compared_tables
from agelens.evaluation.leaderboard import (
    RunFacts,
    chip_milliseconds,
    leaderboard_entries,
    leaderboard_markdown,
)
from agelens.inference.answers import point_and_interval
from agelens.inference.cards import CARD_FILE, Card, load_card

_LEVEL: Final = 0.9
"""Of the intervals whose coverage is shown."""


def run(options: argparse.Namespace) -> int:
    """Read the runs, measure, and write or print the page."""
    runs = [finished_run(path) for path in options.runs]
    named = list(zip(runs, model_names(runs), strict=True))
    tables = [_tables(run, name, options.only) for run, name in named]
    if not any(tables):
        raise UsageError(f"no run was tested on {', '.join(options.only)}")
    facts = [_facts(run, timed=not options.no_time) for run in runs]
    entries = leaderboard_entries(
        list(zip(facts, tables, strict=True)),
        mix_age_kinds=options.allow_mixed_age_kinds,
        draws=options.draws,
        level=options.level,
        seed=options.seed,
    )
    page = leaderboard_markdown(
        entries, made_by=_command(options), machine=_machine(), level=options.level
    )
    if options.output is None:
        print(page, end="")
        return 0
    write_atomically(options.output, page.encode())
    print(f"wrote {options.output}: {len(entries)} lines")
    return 0


def _tables(run: FinishedRun, name: str, only: list[str] | None) -> list[ComparedTable]:
    found = [
        part
        for table in run.test_predictions()
        for part in compared_tables(table, name, rename=True, seed=run.seed)
    ]
    return [part for part in found if only is None or part.dataset in only]


def _facts(run: FinishedRun, *, timed: bool) -> RunFacts:
    folder = run.folder.path
    split = run.data["split"]
    card = load_card(folder) if (folder / CARD_FILE).is_file() else None
    weights = run.folder.weights if card is None else card.weights
    seed = "" if split["seed"] is None else f", seed {split['seed']}"
    return RunFacts(
        method=run.summary["method"],
        backbone=run.summary["backbone"],
        train_data=run.summary["train_data"],
        split=f"{split['protocol'] or split['name']}{seed}",
        leaks=tuple(split["leaks"]),
        coverage={} if card is None else _coverage(run, card),
        size_mb=weights.stat().st_size / 1e6,
        chip_ms=chip_milliseconds(folder) if timed and card is not None else None,
        command=f"agelens train --config {shlex.quote(str(run.folder.config))}",
    )


def _coverage(run: FinishedRun, card: Card) -> dict[str, float]:
    """Measured on each test set, since what held on the calibrating people may not hold there."""
    if card.calibration is None or card.calibration.at(_LEVEL) is None:
        return {}
    inside: dict[str, list[NDArray[np.bool_]]] = {}
    for table in run.test_predictions():
        rows, answers = uncalibrated_outputs(table, card)
        stated = point_and_interval(answers, _LEVEL, card.calibration)
        frame = table.frame.iloc[rows]
        ages = frame["age_years"].to_numpy(np.float64)
        known = ~np.isnan(ages)
        held = (stated.low_years <= ages) & (ages <= stated.high_years)
        for dataset in frame["dataset"][known].astype(str).unique():
            own = known & (frame["dataset"].astype(str) == dataset).to_numpy()
            inside.setdefault(dataset, []).append(held[own])
    return {dataset: float(np.concatenate(parts).mean()) for dataset, parts in inside.items()}


def _command(options: argparse.Namespace) -> str:
    words = ["agelens", "leaderboard", *map(str, options.runs)]
    for name in options.only or ():
        words += ["--only", name]
    if options.no_time:
        words.append("--no-time")
    if options.allow_mixed_age_kinds:
        words.append("--allow-mixed-age-kinds")
    if options.output is not None:
        words += ["-o", str(options.output)]
    return shlex.join(words)


def _machine() -> str:
    return f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores"
