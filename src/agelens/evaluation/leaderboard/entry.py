"""One line of a leaderboard: a model on a test set, with interval, leaks, size and speed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from agelens.errors import UsageError
from agelens.evaluation.comparison import ComparedTable
from agelens.evaluation.comparison.common_samples import common_samples
from agelens.evaluation.comparison.compared_table import refuse_same_network
from agelens.evaluation.comparison.model_errors import Interval, model_errors
from agelens.evaluation.comparison.relation import (
    Relation,
    relation_to_training,
    worst_relation,
)
from agelens.evaluation.groups.group_rows import FEW
from agelens.evaluation.row_counts import has_age, spelled, tally


@dataclass(frozen=True, slots=True)
class RunFacts:
    """What a run's folder says of one trained network.

    Args:
        method: of the run.
        backbone: of the run.
        train_data: names of the datasets.
        split: protocol and seed.
        leaks: sentences on people or pictures that its parts share.
        coverage: by test set, the share of its ages that calibrated 90 % intervals hold; empty
            where the card has none.
        size_mb: of the weights, in millions of bytes.
        chip_ms: measured time of one chip; None where it was not measured.
        command: that trains it.
    """

    method: str
    backbone: str
    train_data: str
    split: str
    leaks: tuple[str, ...]
    coverage: Mapping[str, float]
    size_mb: float
    chip_ms: float | None
    command: str


@dataclass(frozen=True, slots=True)
class LeaderboardEntry:
    """A model on a test set.

    `mae` and `cs5` are means over the seeds, with the bootstrap's interval by person; `coverage`,
    `size_mb` and `chip_ms` are means over the runs. `people` says whether anybody may be in
    training and in test.
    """

    model: str
    dataset: str
    facts: RunFacts
    people: str
    seeds: tuple[int | None, ...]
    mae: Interval
    mae_of_seeds: tuple[float, ...]
    cs5: Interval
    samples: int
    left_out: int
    age_kinds: tuple[str, ...]
    coverage: float | None
    size_mb: float
    chip_ms: float | None
    commands: tuple[str, ...]
    few: bool


def leaderboard_entries(
    runs: Sequence[tuple[RunFacts, Sequence[ComparedTable]]],
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
    refuse_same_network([table for _, tables in runs for table in tables])
    groups: dict[tuple[str, str], list[tuple[RunFacts, ComparedTable]]] = {}
    for facts, tables in runs:
        for table in tables:
            groups.setdefault((table.dataset, table.model), []).append((facts, table))
    entries = [
        _entry(some, mix_age_kinds=mix_age_kinds, draws=draws, level=level, seed=seed)
        for some in groups.values()
    ]
    if not mix_age_kinds:
        _refuse_mixed(entries)
    return sorted(entries, key=lambda one: (one.dataset, one.mae.value))


def _entry(
    some: Sequence[tuple[RunFacts, ComparedTable]],
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
        samples=len(common.age_years),
        left_out=len(first.frame) - len(common.age_years),
        age_kinds=tuple(tally(aged["age_kind"])),
        coverage=_mean([one.coverage.get(first.dataset) for one in runs]),
        size_mb=float(np.mean([one.size_mb for one in runs])),
        chip_ms=_mean([one.chip_ms for one in runs]),
        commands=tuple(one.command for one in runs),
        few=len(common.age_years) < FEW,
    )


def _people(runs: Sequence[RunFacts], tables: Sequence[ComparedTable]) -> str:
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


def _mean(values: Sequence[float | None]) -> float | None:
    """None where one is missing: a mean of the rest would be of other runs."""
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if len(known) == len(values) else None


def _refuse_mixed(entries: Sequence[LeaderboardEntry]) -> None:
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
