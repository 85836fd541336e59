"""The rows that say how far apart the groups of a grouping are."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

import numpy as np

from agelens.evaluation.groups.disparity import (
    gap_of_draws,
    gaps_and_ratios,
    gini,
    ratio_of_draws,
)
from agelens.evaluation.groups.group_rows import Measured, Row, ends
from agelens.records import Floats

GAPS_COLUMNS: Final = (
    *("grouping", "metric", "compared", "few", "lowest_group", "highest_group"),
    *("gap", "gap_low", "gap_high", "ratio", "ratio_low", "ratio_high"),
    *("gini", "gini_low", "gini_high"),
)


def gap_rows(
    measured: Measured,
    grouping: str,
    groups: Sequence[Row],
    drawn: Mapping[str, Floats] | None,
) -> list[Row]:
    """A row (`GAPS_COLUMNS`) for each metric, over the groups that are not few.

    Args:
        measured: the samples.
        grouping: its name.
        groups: its rows, as `group_rows` gives them.
        drawn: each metric [G, D] under resampling; None leaves the intervals out.
    """
    of_metric = {
        name: [row for row in groups if row["metric"] == name] for name in measured.metrics
    }
    alike: dict[tuple[int, ...], list[str]] = {}
    for name, rows in of_metric.items():
        many = tuple(place for place, row in enumerate(rows) if not row["few"])
        alike.setdefault(many, []).append(name)
    found = {}
    for many, names in alike.items():
        few = len(of_metric[names[0]]) - len(many)
        counts = {"grouping": grouping, "compared": len(many), "few": few}
        values = {n: np.array([of_metric[n][place]["value"] for place in many]) for n in names}
        words = [str(of_metric[names[0]][place]["group"]) for place in many]
        kept = None if drawn is None else {name: drawn[name][[*many]] for name in names}
        for name, row in _distances(measured, words, values, kept).items():
            found[name] = counts | {"metric": name} | row
    return [found[name] for name in measured.metrics]


def _distances(
    measured: Measured,
    words: Sequence[str],
    values: Mapping[str, Floats],
    drawn: Mapping[str, Floats] | None,
) -> dict[str, Row]:
    """How far apart the groups [G] are in each metric; nothing where there is one at most."""
    if len(words) < 2:
        return {name: {} for name in values}
    gaps, ratios = gaps_and_ratios(words, values)
    rows = {}
    for name, one in values.items():
        metric, draws = measured.metrics[name], None if drawn is None else drawn[name]
        ends_at = int(one.argmin()), int(one.argmax())
        row: Row = {"lowest_group": words[ends_at[0]], "highest_group": words[ends_at[1]]}
        row |= _with_ends("gap", float(gaps[name]), draws, gap_of_draws, measured.level)
        if metric.better != "nearer 0":  # of a bias, two groups' signs may differ
            row |= _with_ends("ratio", float(ratios[name]), draws, ratio_of_draws, measured.level)
        if metric.better == "lower":  # of errors
            row |= _with_ends("gini", float(gini(one)), draws, gini, measured.level)
        rows[name] = row
    return rows


def _with_ends(
    name: str,
    value: float,
    draws: Floats | None,
    of_draws: Callable[[Floats], Floats],
    level: float,
) -> Row:
    return {name: value} | ends(None if draws is None else of_draws(draws), level, f"{name}_")
