"""The leaderboard: one line for each model and test set, with what it takes to believe it."""

from __future__ import annotations

import os
import platform
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass
from pathlib import Path
from time import perf_counter
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from agelens.errors import TrainingError, UsageError
from agelens.evaluation.comparison.common_samples import (
    LEGAL_FIGURES,
    NOT_STATED,
    ComparedTable,
    Interval,
    check_same_network,
    common_samples,
    compared_tables,
    model_errors,
)
from agelens.evaluation.comparison.comparison import (
    Relation,
    relation_to_training,
    worst_relation,
)
from agelens.evaluation.finished_runs import CONFIG, FinishedRun, finished_run, model_names
from agelens.evaluation.given_models import given_models, tables_of
from agelens.evaluation.given_tables import Reading
from agelens.evaluation.groups import FEW
from agelens.evaluation.metrics.errors import LEGAL_AGES
from agelens.evaluation.model_calibration import uncalibrated_outputs
from agelens.evaluation.reports.page import NOT_FIT, Page, Section, with_interval
from agelens.evaluation.table_checks import has_age, spelled, tally, words_in_use
from agelens.foreign_files import decoding
from agelens.inference.answers import point_and_interval
from agelens.inference.cards import CARD_FILE, Card, load_card
from agelens.inference.estimator import AgeEstimator
from agelens.records import Floats


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """What a run's folder, or another tool's table, says of one trained network.

    Args:
        method: of the run.
        backbone: of the run.
        train_data: names of the datasets.
        split: protocol and seed.
        leaks: sentences on people or pictures that its parts share.
        coverage: by test set, the share of its ages that 90 % intervals hold, a run's after the
            calibration of its card; empty where there are none.
        size_mb: of the weights, in millions of bytes; None where there are none.
        chip_ms: measured time of one chip; None where it was not measured.
        command: that trains it; empty where nobody says.
    """

    method: str
    backbone: str
    train_data: str
    split: str
    leaks: tuple[str, ...]
    coverage: Mapping[str, float]
    size_mb: float | None
    chip_ms: float | None
    command: str


@dataclass(frozen=True, slots=True)
class LeaderboardEntry:
    """A model on a test set.

    `mae` and `cs5` are means over the seeds, with the bootstrap's interval by person; `crossed` has
    false adults and false minors (`agelens.evaluation.metrics.errors`) by name, `crossing` the
    samples behind each; `coverage`, `size_mb` and `chip_ms` are means over the runs. `people` says
    whether anybody may be in training and in test.
    """

    model: str
    dataset: str
    facts: ModelFacts
    people: str
    seeds: tuple[int | None, ...]
    mae: Interval
    mae_of_seeds: tuple[float, ...]
    cs5: Interval
    crossed: Mapping[str, Interval]
    crossing: Mapping[str, int]
    samples: int
    left_out: int
    age_kinds: tuple[str, ...]
    coverage: float | None
    size_mb: float | None
    chip_ms: float | None
    commands: tuple[str, ...]
    few: bool


def leaderboard_entries(
    runs: Sequence[tuple[ModelFacts, Sequence[ComparedTable]]],
    *,
    mix_age_kinds: bool = False,
    draws: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> list[LeaderboardEntry]:
    """The entries of all runs, by test set, the lowest error first.

    Runs whose tables bear one model's name are its seeds, measured on the samples that all of
    them answered. Models are not compared with each other here: their samples may differ.

    Args:
        runs: each run's facts, and its tables of test predictions.
        mix_age_kinds: whether real, apparent and estimated ages may stand in one table.
        draws: of the bootstrap; 0 leaves the intervals out.
        level: of the intervals.
        seed: of the draws.

    Raises:
        TableError: predictions without ages.
        UsageError: kinds of age are mixed without `mix_age_kinds`; two runs of a model have one
            seed.
    """
    check_same_network([table for _, tables in runs for table in tables])
    groups: dict[tuple[str, str], list[tuple[ModelFacts, ComparedTable]]] = {}
    for facts, tables in runs:
        for table in tables:
            groups.setdefault((table.dataset, table.model), []).append((facts, table))
    entries = [
        _entry(some, mix_age_kinds=mix_age_kinds, draws=draws, level=level, seed=seed)
        for some in groups.values()
    ]
    if not mix_age_kinds:
        _check_mixed(entries)
    return sorted(entries, key=lambda one: (one.dataset, one.mae.value))


def _entry(
    some: Sequence[tuple[ModelFacts, ComparedTable]],
    *,
    mix_age_kinds: bool,
    draws: int,
    level: float,
    seed: int,
) -> LeaderboardEntry:
    tables = [table for _, table in some]
    runs = [facts for facts, _ in some]
    first = tables[0]
    common = common_samples(tables, mix_age_kinds=mix_age_kinds)
    errors = model_errors(common, draws=draws, level=level, seed=seed)
    figures = errors.figures[first.model]
    aged = first.frame[has_age(first.frame)]
    return LeaderboardEntry(
        *(first.model, first.dataset, runs[0], _people(runs, tables)),
        common.seeds[first.model],
        figures["mae"],
        errors.by_seed[first.model],
        figures["cs@5"],
        {name: figures[name] for name in LEGAL_FIGURES},
        {name: _behind(name, common.age_years) for name in LEGAL_FIGURES},
        samples=len(common.age_years),
        left_out=len(first.frame) - len(common.age_years),
        age_kinds=tuple(tally(aged["age_kind"])),
        coverage=_mean([one.coverage.get(first.dataset) for one in runs]),
        size_mb=_mean([one.size_mb for one in runs]),
        chip_ms=_mean([one.chip_ms for one in runs]),
        commands=tuple(one.command for one in runs if one.command),
        few=len(common.age_years) < FEW,
    )


def _people(runs: Sequence[ModelFacts], tables: Sequence[ComparedTable]) -> str:
    """Whether anybody may be both in training and in the test."""
    relation: Relation = worst_relation([relation_to_training(table.frame) for table in tables])
    leaks = dict.fromkeys(leak for one in runs for leak in one.leaks)
    if relation.kind == "cross":
        return "other dataset"
    if relation.kind != "intra":
        return f"{relation.kind}: {relation.text}"
    if leaks:
        return f"leaks: {'; '.join(leaks)}"
    known = all(table.frame["subject"].notna().all() for table in tables)
    return "subject-exclusive" if known else "people not known"


def _behind(name: str, age_years: Floats) -> int:
    """How many samples a rate at a legal age is of."""
    rate, _, legal = name.partition("@")
    young = int((age_years < float(legal)).sum())
    return young if rate == "false_adult" else len(age_years) - young


def _mean(values: Sequence[float | None]) -> float | None:
    """None where one is missing: a mean of the rest would be of other runs."""
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if len(known) == len(values) else None


def _check_mixed(entries: Sequence[LeaderboardEntry]) -> None:
    kinds: dict[str, int] = {}
    for entry in entries:
        for kind in entry.age_kinds:
            kinds[kind] = kinds.get(kind, 0) + 1
    if len(kinds) > 1:
        raise UsageError(
            "errors against ages of several kinds do not belong in one leaderboard unless you say "
            f"so (--allow-mixed-age-kinds): lines by kind: {spelled(kinds)}. --only DATASET takes "
            "the lines of one test set"
        )


_COLUMNS: Final = (
    *("model", "tested on", "MAE", "false adults %", "false minors %", "CS@5"),
    *("coverage of 90 %", "samples", "people", "ages", "method", "backbone", "trained on"),
    *("split", "seeds", "MB", "ms a chip"),
)
_RIGHT: Final = ("samples", "MB", "ms a chip")
_LIMITS: Final = (
    "An age estimate is no proof of age. These are errors on the named test sets; elsewhere they "
    "may be others, and a mean hides whom a model fails (agelens evaluate).",
    "Lines of different samples or splits do not compare: agelens compare tests models on the "
    "samples that all of them answer.",
)


def leaderboard_markdown(
    entries: Sequence[LeaderboardEntry],
    *,
    made_by: str,
    machine: str,
    level: float = 0.95,
    notes: Sequence[str] = (),
) -> str:
    """The whole page.

    Args:
        entries: in the order of their lines.
        made_by: the command that makes the page.
        machine: what the times were measured on.
        level: of the intervals.
        notes: sentences on how tables were read.
    """
    rows = [_row(entry) for entry in entries]
    rule = ["---:" if name in _RIGHT else "---" for name in _COLUMNS]
    lines = [_line(list(row.values())) for row in rows]
    table = [_line(_COLUMNS), _line(rule), *lines]
    commands = dict.fromkeys(command for entry in entries for command in entry.commands)
    trained = ["The commands that train them:", "", *(f"    {one}" for one in commands), ""]
    return "\n".join(
        [
            "# Leaderboard",
            "",
            f"Made by `{made_by}`.",
            "",
            *table,
            "",
            *_legend(entries, machine, level),
            "",
            *(f"- {line}" for line in (*notes, *_LIMITS)),
            "",
            *(trained if commands else []),
        ]
    )


def leaderboard_html(
    entries: Sequence[LeaderboardEntry],
    *,
    made_by: str,
    machine: str,
    level: float = 0.95,
    notes: Sequence[str] = (),
) -> str:
    """The same as a page of its own; see `leaderboard_markdown`."""
    rows = pd.DataFrame([_row(entry) for entry in entries])
    commands = dict.fromkeys(command for entry in entries for command in entry.commands)
    legend = [*_legend(entries, machine, level), *notes]
    sections = [
        Section("Models on each test set", legend, [("", rows)]),
        *([Section("The commands that train them", list(commands))] if commands else []),
        Section(NOT_FIT, _LIMITS),
    ]
    best = {entry.dataset: entry for entry in reversed(entries)}  # the first of each is the best
    lead = [
        f"On {name} the lowest mean error is {with_interval(*astuple(one.mae))} years, of "
        f"{one.model}."
        for name, one in sorted(best.items())
    ]
    sections.insert(-1, Section("How it was made", [made_by]))
    return Page("Leaderboard", sections, lead).to_html()


def _row(entry: LeaderboardEntry) -> dict[str, str]:
    mae = with_interval(entry.mae.value, entry.mae.low, entry.mae.high)
    if len(entry.mae_of_seeds) > 1:
        mae += f" (seeds ± {np.std(entry.mae_of_seeds, ddof=1):.2f})"
    cs5 = with_interval(entry.cs5.value, entry.cs5.low, entry.cs5.high, share=True)
    left_out = f" ({entry.left_out:,} left out)" if entry.left_out else ""
    said = {
        "model": entry.model,
        "method": entry.facts.method,
        "backbone": entry.facts.backbone,
        "trained on": entry.facts.train_data,
        "tested on": entry.dataset,
        "ages": "+".join(entry.age_kinds),
        "split": entry.facts.split,
        "people": entry.people,
        "seeds": ", ".join("?" if seed is None else str(seed) for seed in entry.seeds),
        "samples": f"{entry.samples:,}{left_out}{' (few)' if entry.few else ''}",
        "MAE": mae,
        "false adults %": _of_legal_ages(entry, "false_adult"),
        "false minors %": _of_legal_ages(entry, "false_minor"),
        "CS@5": cs5,
        "coverage of 90 %": _coverage_words(entry),
        "MB": "" if entry.size_mb is None else f"{entry.size_mb:.1f}",
        "ms a chip": "" if entry.chip_ms is None else f"{entry.chip_ms:.1f}",
    }
    return {name: said[name] for name in _COLUMNS}


def _coverage_words(entry: LeaderboardEntry) -> str:
    if entry.coverage is not None:
        return f"{100 * entry.coverage:.1f} %"
    # A table alone may have intervals of another level, or none.
    return NOT_STATED if entry.size_mb is None else "not calibrated"


def _of_legal_ages(entry: LeaderboardEntry, rate: str) -> str:
    """As ``0.4 / 2.1 / 9.8 / 14.0``, one for each legal age; those of few people in brackets."""
    return " / ".join(_of_legal_age(entry, f"{rate}@{legal}") for legal in LEGAL_AGES)


def _of_legal_age(entry: LeaderboardEntry, name: str) -> str:
    share = 100 * entry.crossed[name].value
    if np.isnan(share):
        return "?"
    return f"({share:.1f})" if entry.crossing[name] < FEW else f"{share:.1f}"


def _line(cells: Sequence[str]) -> str:
    """A row of a table; a bar or a line break in a name would make cells of its own."""
    clean = (" ".join(cell.split()).replace("|", "\\|") for cell in cells)
    return f"| {' | '.join(clean)} |"


def _legend(entries: Sequence[LeaderboardEntry], machine: str, level: float) -> list[str]:
    lines = [
        f"MAE in years, mean over seeds, with {100 * level:g} % bootstrap interval by person. "
        "CS@5: share of errors of at most 5 years. People: whether anybody may be in training and "
        f"in test. False adults at {' / '.join(map(str, LEGAL_AGES))}: of those under the age, the "
        "share estimated at it or older; false minors: of the others, the share estimated under "
        f"it; ? where there is nobody, in brackets of fewer than {FEW}. Coverage: share of the "
        "test set's ages that the card's calibrated 90 % intervals hold, of a table those that it "
        "states.",
    ]
    if any(entry.chip_ms is not None for entry in entries):
        lines.append(
            f"Times: one chip through the exported network, the shortest of many, {machine}."
        )
    if any("estimated" in entry.age_kinds for entry in entries):
        lines.append(
            "Estimated ages are themselves estimates: an error against them is a disagreement."
        )
    return lines


def chip_milliseconds(model: str | Path, *, repetitions: int = 30, warm_up: int = 3) -> float:
    """Time in milliseconds of one chip, normalisation included, detection not.

    The shortest of the repetitions: what else runs on a machine can only add to it. The chip is
    noise, as what a network takes does not depend on what is in the picture.

    Args:
        model: of `AgeEstimator`.
        repetitions: that are measured.
        warm_up: before them.
    """
    estimator = AgeEstimator(model, workers=1)
    side = estimator.card.input.size
    chip = np.random.default_rng(0).integers(0, 256, (side, side, 3), dtype=np.uint8)
    times = []
    for _ in range(warm_up + repetitions):
        start = perf_counter()
        estimator.estimate_chips([chip])
        times.append(1000 * (perf_counter() - start))
    return min(times[warm_up:])


_LEVEL: Final = 0.9
"""Of the intervals whose coverage is shown."""


def leaderboard_page(
    models: Sequence[Any],
    *,
    made_by: str,
    reading: Reading | None = None,
    html: bool = False,
    only: Sequence[str] = (),
    timed: bool = True,
    mix_age_kinds: bool = False,
    draws: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> tuple[str, int]:
    """The page of some models, and how many lines it has.

    Args:
        models: finished runs or their folders, and tables of predictions by whatever tool; a
            mapping gives them names, several tables under one name being its seeds.
        made_by: the command that makes the page.
        reading: how tables are read.
        html: as HTML in place of Markdown.
        only: lines of these test sets; of all unless given.
        timed: measure how long a chip takes.
        mix_age_kinds: whether real, apparent and estimated ages may stand in one table.
        draws: of the bootstrap; 0 leaves the intervals out.
        level: of the intervals.
        seed: of the draws.

    Raises:
        UsageError: a folder without a finished run, or no model was tested on `only`; see
            `leaderboard_entries`.
        TableError: a table cannot be read.
    """
    given = given_models(models)
    folders = [one for one in given if not one.is_table]
    runs = [finished_run(one.run or Path(one.model)) for one in folders]
    names = [one.name or name for one, name in zip(folders, model_names(runs), strict=True)]
    lines = [
        (_facts(run, timed=timed), _tables(run, name, only))
        for run, name in zip(runs, names, strict=True)
    ]
    tables, told = tables_of(given, reading or Reading())
    lines += [(_stated(one), [one]) for one in tables if not only or one.dataset in only]
    if not any(tables for _, tables in lines):
        raise UsageError(f"no model was tested on {', '.join(only)}")
    entries = leaderboard_entries(
        lines, mix_age_kinds=mix_age_kinds, draws=draws, level=level, seed=seed
    )
    written = leaderboard_html if html else leaderboard_markdown
    page = written(entries, made_by=made_by, machine=_machine(), level=level, notes=told)
    return page, len(entries)


def _tables(run: FinishedRun, name: str, only: Sequence[str]) -> list[ComparedTable]:
    found = [
        part
        for table in run.test_predictions()
        for part in compared_tables(table, name, rename=True, seed=run.seed)
    ]
    return [part for part in found if not only or part.dataset in only]


def _stated(part: ComparedTable) -> ModelFacts:
    """What the columns of a table say."""
    frame = part.frame
    said = {
        name: ", ".join(words_in_use(frame[name])) or NOT_STATED
        for name in ("method", "backbone", "train_data", "split")
    }
    rows = frame.dropna(subset=["age_years", "estimate_years"])
    inside = rows["age_years"].between(rows["low_years"], rows["high_years"])
    stated = len(rows) and np.isclose(rows["interval_level"], _LEVEL).all()
    coverage = {part.dataset: float(inside.mean())} if stated else {}
    return ModelFacts(**said, leaks=(), coverage=coverage, size_mb=None, chip_ms=None, command="")


def _facts(run: FinishedRun, *, timed: bool) -> ModelFacts:
    with decoding(run.folder, "a finished run", TrainingError):
        return _stated_by(run, timed=timed)


def _stated_by(run: FinishedRun, *, timed: bool) -> ModelFacts:
    """What a run's folder says."""
    folder = run.folder
    split = run.data["split"]
    card = load_card(folder) if (folder / CARD_FILE).is_file() else None
    weights = folder / "weights.safetensors" if card is None else card.weights
    seed = "" if split["seed"] is None else f", seed {split['seed']}"
    return ModelFacts(
        method=str(run.summary["method"]),
        backbone=str(run.summary["backbone"]),
        train_data=str(run.summary["train_data"]),
        split=f"{split['protocol'] or split['name']}{seed}",
        leaks=tuple(split["leaks"]),
        coverage={} if card is None else _coverage(run, card),
        size_mb=weights.stat().st_size / 1e6,
        chip_ms=chip_milliseconds(folder) if timed and card is not None else None,
        command=f"agelens train --config {shlex.quote(str(folder / CONFIG))}",
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


def _machine() -> str:
    return f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores"
