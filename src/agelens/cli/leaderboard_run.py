"""What `agelens leaderboard` does: run folders in, one markdown page out."""

from __future__ import annotations

import argparse
import os
import platform
import shlex
from typing import Any, Final

from agelens.cli.finished_runs import FinishedRun, finished_run, model_names
from agelens.errors import UsageError
from agelens.evaluation.comparison import ComparedTable, compared_tables
from agelens.evaluation.leaderboard import RunFacts, leaderboard_entries, leaderboard_markdown
from agelens.evaluation.leaderboard.chip_time import chip_milliseconds
from agelens.inference.cards import CARD_FILE, Card, load_card
from agelens.whole_file import write_whole

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
    write_whole(options.output, page.encode())
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
        coverage=_coverage(card),
        size_mb=weights.stat().st_size / 1e6,
        chip_ms=chip_milliseconds(folder) if timed and card is not None else None,
        command=f"agelens train --config {shlex.quote(str(run.folder.config))}",
    )


def _coverage(card: Card | None) -> float | None:
    if card is None or card.calibration is None:
        return None
    intervals: list[dict[str, Any]] = card.calibration.document["intervals"]
    held = [one["coverage"] for one in intervals if one["level"] == _LEVEL]
    return float(held[0]) if held else None


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
