"""The same metrics for each group of people, how far apart the groups are, and both with the whole.

A difference between groups is a finding about this table: its groups also differ in ages,
in pictures and in how they were labelled. The crossing with age bands tells some of that
apart; nothing here says why groups differ.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from agelens.errors import TableError, UsageError
from agelens.evaluation.all_rows import DISTRIBUTIONS, Evaluation, evaluate_all, metric_columns
from agelens.evaluation.bootstrap.grouped_metrics import GroupedMetrics, bootstrap
from agelens.evaluation.bootstrap.groupings import Grouping, person_codes
from agelens.evaluation.groups import (
    BINS,
    DEFAULT_COLUMNS,
    GROUPS_COLUMNS,
    Crossed,
    Measured,
    Row,
    bootstrap_batches,
    column_grouping,
    crossed_grouping,
    crossings,
    ends,
    group_rows,
    group_words,
)
from agelens.evaluation.metrics import MetricLike, chosen_metrics
from agelens.evaluation.metrics.base import Metric, ratio
from agelens.evaluation.metrics.classification import AgeClasses
from agelens.evaluation.table_checks import check_unmeasurable
from agelens.records import Floats
from agelens.tables import PredictionsTable


def gap(values: Floats) -> Floats:
    """Highest less lowest [...] of the groups [G, ...]; groups of which nobody came are out."""
    return np.asarray(np.fmax.reduce(values, axis=0) - np.fmin.reduce(values, axis=0))


def group_ratio(values: Floats) -> Floats:
    """Lowest over highest [...] of the groups [G, ...]."""
    return ratio(np.fmin.reduce(values, axis=0), np.fmax.reduce(values, axis=0))


def gini(values: Floats) -> Floats:
    """Gini coefficient [...] of groups' errors [G, ...]: 0 all alike, towards 1 one has it all.

    Mean absolute difference of all pairs over twice the mean (Gini, 1912); NaN with an
    undefined group or a mean of 0. Of the errors 1 and 3 it is 0.25.
    """
    count = len(values)
    ascending = np.sort(values, axis=0)
    place = np.arange(1, count + 1).reshape(-1, *[1] * (ascending.ndim - 1))
    spread = ((2 * place - count - 1) * ascending).sum(axis=0)
    return ratio(np.asarray(spread), np.asarray(count * ascending.sum(axis=0)))


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
    rows = {}
    for name, one in values.items():
        metric, draws = measured.metrics[name], None if drawn is None else drawn[name]
        ends_at = int(one.argmin()), int(one.argmax())
        row: Row = {"lowest_group": words[ends_at[0]], "highest_group": words[ends_at[1]]}
        row |= _with_ends("gap", one, draws, gap, measured.level)
        if metric.better not in ("nearer 0", "not stated"):  # two groups' signs may differ
            row |= _with_ends("ratio", one, draws, group_ratio, measured.level)
        if metric.better == "lower":  # of errors
            row |= _with_ends("gini", one, draws, gini, measured.level)
        rows[name] = row
    return rows


def _with_ends(
    name: str,
    values: Floats,
    draws: Floats | None,
    distance: Callable[[Floats], Floats],
    level: float,
) -> Row:
    """How far apart groups of these `values` [G] are, and its interval from `draws` [G, D]."""
    drawn = None if draws is None else distance(draws)
    value = float(distance(values))
    return {name: value} | ends(drawn, level, value, f"{name}_")


GROUP_METRICS: Final = (
    *("mae", "false_adult@18", "false_minor@18", "rmse", "bias", "cs@5", "coverage", "mean_width"),
)
FIGURE_COLUMN: Final = "age_five_years"
"""Never crossed: the bins that figures by age are drawn from."""
_FOR_FIGURES: Final = ("mae", "bias")


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
    metrics: Sequence[MetricLike] | None = None,
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
        by: columns of words, or names out of `agelens.evaluation.groups.BINS`; None takes
            those of `DEFAULT_COLUMNS` that say anything, and five-year bins for figures.
        metrics: names out of `METRICS`, or functions ``f(y_true, y_pred)``; None takes those of
            `GROUP_METRICS` that the table has the columns for.
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
    check_unmeasurable(frame, mix_age_kinds=mix_age_kinds)
    chosen = chosen_metrics(GROUP_METRICS if metrics is None else metrics)
    needs = {need for metric in chosen.values() for need in metric.needs}
    values = metric_columns(predictions, distributions=[n for n in DISTRIBUTIONS if n in needs])
    chosen = _measurable(chosen, values, needed=metrics is not None)
    columns = _columns(frame, by)
    wanted: list[Crossed] = [(name,) for name in columns]
    if cross:
        wanted += crossings(columns, [name for name in columns if name != FIGURE_COLUMN])
    measured = Measured(values, person_codes(frame), chosen, level)
    found = {}
    for part in bootstrap_batches(columns, wanted, len(frame)):
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


def _measurable(
    chosen: Mapping[str, Metric], values: Mapping[str, NDArray[Any]], *, needed: bool
) -> dict[str, Metric]:
    """The metrics of which some row has the columns; where all are `needed`, the others raise."""
    filled = {name for name, column in values.items() if not pd.isna(column).all()}
    for name, metric in chosen.items():
        missing = [need for need in metric.needs if need not in filled]
        if missing and needed:
            raise TableError(f"{name} by group needs {', '.join(missing)}, which no row has")
    return {name: one for name, one in chosen.items() if {*one.needs} <= filled}


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


@dataclass(frozen=True, slots=True, eq=False)
class EvaluatedTable:
    """A table under its name in the report; `notes` are sentences on how it was read."""

    name: str
    predictions: PredictionsTable
    evaluation: Evaluation
    groups: GroupEvaluation
    notes: tuple[str, ...] = ()

    @property
    def metrics(self) -> pd.DataFrame:
        """A row for each metric of all rows."""
        found = self.evaluation.metrics
        return pd.DataFrame([{"metric": name, **asdict(result)} for name, result in found.items()])

    def of_grouping(self, grouping: str, metric: str) -> pd.DataFrame:
        """The rows of one grouping and metric, in the groups' order."""
        rows = self.groups.groups
        chosen = (rows["grouping"] == grouping) & (rows["metric"] == metric)
        return rows[chosen].reset_index(drop=True)

    def document(self) -> dict[str, Any]:
        """All figures, by what they are of."""
        found = self.evaluation
        return {
            "name": self.name,
            "metrics": found.metrics,
            "counts": found.counts,
            "datasets": found.datasets,
            "models": found.models,
            "interval_level": found.interval_level,
            "bootstrap": {"level": found.level, "draws": found.draws, "seed": found.seed},
            "groups": self.groups.groups,
            "gaps": self.groups.gaps,
            "rows_in_no_group": self.groups.ungrouped,
        } | ({"notes": self.notes} if self.notes else {})


def evaluated_table(
    name: str,
    predictions: PredictionsTable,
    *,
    metrics: Sequence[MetricLike] | None = None,
    by: Sequence[str] | None = None,
    age_classes: AgeClasses | None = None,
    notes: Sequence[str] = (),
    mix_age_kinds: bool = False,
    draws: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> EvaluatedTable:
    """Measure all rows and every group; see `evaluate_all` and `evaluate_groups`."""
    resampled: dict[str, Any] = {"draws": draws, "level": level, "seed": seed}
    found = evaluate_all(
        predictions, metrics, age_classes=age_classes, mix_age_kinds=mix_age_kinds, **resampled
    )
    has_ages = bool(predictions.frame["age_years"].notna().any())
    if by is not None and has_ages:
        by = (*by, FIGURE_COLUMN)
    if metrics is not None and has_ages:
        metrics = tuple(dict.fromkeys((*metrics, *_FOR_FIGURES)))
    groups = evaluate_groups(predictions, by, metrics, mix_age_kinds=mix_age_kinds, **resampled)
    return EvaluatedTable(name, predictions, found, groups, tuple(notes))
