"""The same metrics for each group of people, and how far apart the groups are.

A difference between groups is a finding about this table: its groups also differ in ages,
in pictures and in how they were labelled. The crossing with age bands tells some of that
apart; nothing here says why groups differ.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import pandas as pd
from numpy.typing import NDArray

from agelens.errors import TableError, UsageError
from agelens.evaluation.bootstrap import GroupedMetrics, Grouping, bootstrap, person_codes
from agelens.evaluation.groups.columns import BINS, DEFAULT_COLUMNS, group_words
from agelens.evaluation.groups.crossings import column_grouping, crossed_grouping, crossings
from agelens.evaluation.groups.gap_rows import GAPS_COLUMNS, gap_rows
from agelens.evaluation.groups.group_rows import GROUPS_COLUMNS, Measured, Row, group_rows
from agelens.evaluation.groups.passes import Crossed, passes
from agelens.evaluation.metric_columns import DISTRIBUTIONS, metric_columns
from agelens.evaluation.metrics import Metric, named_metric
from agelens.evaluation.table_checks import refuse_unmeasurable
from agelens.tables import PredictionsTable

GROUP_METRICS: Final = ("mae", "rmse", "bias", "cs@5", "coverage", "mean_width")
FIGURE_COLUMN: Final = "age_five_years"
"""Never crossed: the bins that figures by age are drawn from."""


@dataclass(frozen=True, slots=True, eq=False)
class GroupEvaluation:
    """Metrics by group.

    `groups` has a row for each grouping, group and metric (`GROUPS_COLUMNS`): the bootstrap
    interval is `low` to `high`, missing where one person is all there is; `few` marks groups of
    under 30 samples. `gaps` has a row for each grouping and metric (`GAPS_COLUMNS`) over
    the groups that are not few: highest less lowest value, lowest over highest, and the Gini
    coefficient; `compared` and `few` count groups. `ungrouped` says how many rows have no word
    in a column.
    """

    groups: pd.DataFrame
    gaps: pd.DataFrame
    ungrouped: Mapping[str, int]


def evaluate_groups(
    predictions: PredictionsTable,
    by: Sequence[str] | None = None,
    metrics: Sequence[str] | None = None,
    *,
    cross: bool = True,
    mix_age_kinds: bool = False,
    draws: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> GroupEvaluation:
    """Metrics of each group, of each column and of each pair of columns.

    Args:
        predictions: with one estimate a sample.
        by: columns of words, or names out of `agelens.evaluation.groups.columns.BINS`; None takes
            those of `DEFAULT_COLUMNS` that say anything, and five-year bins for figures.
        metrics: names out of `METRICS`; None takes those of `GROUP_METRICS` that the table has
            the columns for.
        cross: also cross the columns, two at a time.
        mix_age_kinds: whether real, apparent and estimated ages may be measured together.
        draws: of the bootstrap, by person; 0 leaves the intervals out.
        level: of the bootstrap intervals.
        seed: of the draws.

    Raises:
        TableError: a named column or metric has no value in any row.
        UnknownNameError: there is no such metric or column.
        UsageError: a sample has several estimates; kinds of age are mixed; a column has too many
            words; `draws` or `level` is no such thing.
    """
    if draws < 0 or not 0 < level < 1:
        raise UsageError(f"draws are 0 or more, a level is between 0 and 1; got {draws}, {level}")
    frame = predictions.frame
    refuse_unmeasurable(frame, mix_age_kinds=mix_age_kinds)
    needs = {need for name in metrics or GROUP_METRICS for need in named_metric(name).needs}
    values = metric_columns(predictions, distributions=[n for n in DISTRIBUTIONS if n in needs])
    chosen = _metrics(values, metrics)
    columns = _columns(frame, by)
    wanted: list[Crossed] = [(name,) for name in columns]
    if cross:
        wanted += crossings(columns, [name for name in columns if name != FIGURE_COLUMN])
    measured = Measured(values, person_codes(frame), chosen, level)
    found = {}
    for part in passes(columns, wanted, len(frame)):
        groupings = [crossed_grouping([columns[name] for name in names]) for names in part]
        for names, rows in zip(part, _rows(measured, groupings, draws, seed), strict=True):
            found[names] = rows
    groups, gaps = ([row for names in wanted for row in found[names][kind]] for kind in (0, 1))
    return GroupEvaluation(
        pd.DataFrame(groups, columns=list(GROUPS_COLUMNS)),
        pd.DataFrame(gaps, columns=list(GAPS_COLUMNS)),
        {name: int((one.codes < 0).sum()) for name, one in columns.items()},
    )


def _columns(frame: pd.DataFrame, by: Sequence[str] | None) -> dict[str, Grouping]:
    names = dict.fromkeys(by if by is not None else (*DEFAULT_COLUMNS, FIGURE_COLUMN))
    columns = {name: column_grouping(group_words(frame, name)) for name in names}
    empty = [name for name, one in columns.items() if not len(one)]
    if by is not None and empty:
        needed = [BINS[name][0] if name in BINS else name for name in empty]
        raise TableError(f"no row says {', '.join(needed)}, so there are no groups of it")
    return {name: one for name, one in columns.items() if len(one)}


def _metrics(values: Mapping[str, NDArray[Any]], names: Sequence[str] | None) -> dict[str, Metric]:
    filled = {name for name, column in values.items() if not pd.isna(column).all()}
    if names is None:
        known = {name: named_metric(name) for name in GROUP_METRICS}
        return {name: one for name, one in known.items() if {*one.needs} <= filled}
    chosen = {name: named_metric(name) for name in names}
    for name, metric in chosen.items():
        missing = [need for need in metric.needs if need not in filled]
        if missing:
            raise TableError(f"{name} by group needs {', '.join(missing)}, which no row has")
    return chosen


def _rows(
    measured: Measured, groupings: Sequence[Grouping], draws: int, seed: int
) -> list[tuple[list[Row], list[Row]]]:
    """The rows of `groups` and of `gaps` of each grouping."""
    together = GroupedMetrics(measured.metrics, measured.columns, measured.people, groupings)
    values = together.values()
    drawn = bootstrap(together, draws=draws, seed=seed) if draws else None
    found = []
    for grouping in groupings:
        draws_of_it = None if drawn is None else drawn[grouping.name]
        groups = group_rows(measured, grouping, values[grouping.name], draws_of_it)
        gaps = gap_rows(measured, grouping.name, groups, draws_of_it)
        found.append((groups, gaps))
    return found
