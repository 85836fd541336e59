"""An evaluation of one table or of several side by side: its page, its folder, its words."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final

import pandas as pd

from agelens.evaluation.all_rows import worst_errors
from agelens.evaluation.by_group import FIGURE_COLUMN
from agelens.evaluation.evaluated_table import EvaluatedTable
from agelens.evaluation.groups import BETWEEN
from agelens.evaluation.reports.page import (
    Page,
    Section,
    bootstrap_words,
    row_figure,
    with_interval,
)
from agelens.evaluation.reports.result import Result

LIMITS: Final = (
    "An age estimate is no proof of age, and none of these figures makes it one. Where an age "
    "decides what somebody may do, use agelens gate, and let people check.",
    "The figures hold for people, pictures and labels like those in the table. Elsewhere the error "
    "may be another one: measure it there.",
    "Differences between groups are findings about this table, whose groups also differ in ages, "
    "pictures and labels. They neither explain themselves nor excuse anything.",
    "Intervals say how much a figure would move with other people of the same kind. They know "
    "nothing of wrong labels, nor of a table that was chosen badly.",
)
ESTIMATED_LABELS: Final = (
    "Some ages here are themselves estimates (age_kind estimated): an error against them is a "
    "disagreement, not an error against the truth."
)
SEEN_IN_TRAINING: Final = "Part {part} of {dataset} may be what the model was trained on."
_LEFT_OUT: Final = (
    " Rows without an estimate, or without the label that a metric needs, are left out of it and "
    "counted in metrics.csv."
)
_WORST_SHOWN: Final = 10


@dataclass(frozen=True, eq=False, repr=False)
class EvaluationReport(Result):
    """What `agelens.evaluation.evaluate` hands back; `tables` are those that were measured."""

    kind: ClassVar[str] = "evaluation"
    tables: Sequence[EvaluatedTable]

    def document(self) -> dict[str, Any]:
        """All figures of all tables."""
        return {"tables": [one.document() for one in self.tables]}

    def to_frame(self) -> pd.DataFrame:
        """A row for each table and metric of all rows; `groups` and `gaps` have the others."""
        return self._stacked([one.metrics for one in self.tables])

    @property
    def groups(self) -> pd.DataFrame:
        """A row for each table, grouping, group and metric."""
        return self._stacked([one.groups.groups for one in self.tables])

    @property
    def gaps(self) -> pd.DataFrame:
        """How far groups are apart: a row for each table, grouping and metric."""
        return self._stacked([one.groups.gaps for one in self.tables])

    def frames(self) -> dict[str, pd.DataFrame]:
        """Metrics, groups, gaps and the worst errors; only the last names samples."""
        worst = [worst_errors(one.predictions) for one in self.tables]
        found = {"metrics": self.to_frame(), "groups": self.groups, "gaps": self.gaps}
        return found | {"worst": self._stacked(worst)}

    def sentences(self) -> list[str]:
        """What was measured, a line a table."""
        return [_measured(one) for one in self.tables]

    def page(self) -> Page:
        """Limits, all rows, figures, groups, gaps."""
        found = self.tables[0].evaluation
        method = bootstrap_words(found.level, found.draws, found.seed)
        if found.draws:
            method += _LEFT_OUT
        sections = [
            Section("What this may not be used for", _limits(self.tables)),
            Section("What was measured", tables=[(one.name, _counts(one)) for one in self.tables]),
            Section("All rows", [method], [("", metric_rows(self.tables))]),
            *self._figures(),
            *_groups(self.tables),
            *_gaps(self.tables),
        ]
        names = " and ".join(one.name for one in self.tables)
        return Page(f"Evaluation of {names}", sections)

    def _figures(self) -> Iterator[Section]:
        from agelens.evaluation.reports import evaluation_figures as draw  # noqa: PLC0415
        from agelens.evaluation.reports.reliability import (  # noqa: PLC0415 - both: matplotlib
            distribution_calibration,
        )

        shown, found = self.tables, self.tables[0].evaluation
        calibration = distribution_calibration(shown, draws=found.draws, level=found.level)
        for title, name, figure in (
            ("Error by age", "error_by_age", draw.error_by_age(shown)),
            ("Bias by age", "bias_by_age", draw.bias_by_age(shown)),
            ("Coverage of the intervals by age", "coverage_by_age", draw.coverage_by_age(shown)),
            ("Calibration of the distributions", "distribution_calibration", calibration),
        ):
            yield Section.drawn(title, name, figure)
        for name in _groupings(shown):
            title = f"Residuals by {_words(name)}"
            file = re.sub(r"\W+", "_", f"residuals_by_{name}")  # a column's name is anybody's
            yield Section.drawn(title, file, draw.residuals_by(shown, name))

    def _stacked(self, parts: Sequence[pd.DataFrame]) -> pd.DataFrame:
        """Rows of all tables, the table's name first."""
        named = []
        for one, part in zip(self.tables, parts, strict=True):
            plain = part.astype(object)
            plain.insert(0, "table", one.name)
            named.append(plain)
        return pd.concat(named, ignore_index=True)


def _measured(one: EvaluatedTable) -> str:
    counts = one.evaluation.counts
    kinds = ", ".join(f"{count:,} {kind}" for kind, count in counts.age_kinds.items())
    notes = "".join(f"; {note}" for note in one.notes)
    return (
        f"{one.name}: {counts.rows:,} rows of {counts.people:,} people, "
        f"{counts.without_estimate:,} without estimate, {counts.without_age:,} without age; "
        f"ages: {kinds or 'none'}{notes}"
    )


def _groupings(shown: Sequence[EvaluatedTable]) -> list[str]:
    """The columns that tables are grouped by, without their crossings."""
    names = dict.fromkeys(name for one in shown for name in one.groups.groups["grouping"])
    return [name for name in names if BETWEEN not in name and name != FIGURE_COLUMN]


def _limits(shown: Sequence[EvaluatedTable]) -> list[str]:
    lines = list(LIMITS)
    if any("estimated" in one.evaluation.counts.age_kinds for one in shown):
        lines.append(ESTIMATED_LABELS)
    for one in shown:
        frame = one.predictions.frame
        trained = frame[(frame["split"] == "train").to_numpy(dtype=bool, na_value=False)]
        for dataset in trained["dataset"].dropna().unique():
            lines.append(SEEN_IN_TRAINING.format(part="train", dataset=dataset))
    return list(dict.fromkeys(lines))


def _counts(one: EvaluatedTable) -> pd.DataFrame:
    counts = one.evaluation.counts
    rows: list[tuple[str, object]] = [
        ("rows", counts.rows),
        ("people", counts.people),
        ("without estimate", counts.without_estimate),
        ("without age", counts.without_age),
        *((f"status {word}", count) for word, count in counts.statuses.items()),
        *((f"ages {word}", count) for word, count in counts.age_kinds.items()),
        ("datasets", ", ".join(one.evaluation.datasets) or "not stated"),
        ("models", ", ".join(one.evaluation.models) or "not stated"),
    ]
    rows += [("note", note) for note in one.notes]
    if one.evaluation.interval_level is not None:
        rows.append(("intervals claim", f"{100 * one.evaluation.interval_level:g} %"))
    return pd.DataFrame(rows, columns=["what", "count"]).astype({"count": object})


def metric_rows(shown: Sequence[EvaluatedTable]) -> pd.DataFrame:
    """Metrics of all rows in words, a column a table."""
    names = dict.fromkeys(name for one in shown for name in one.evaluation.metrics)
    rows = []
    for name in names:
        found = {one.name: one.evaluation.metrics.get(name) for one in shown}
        first = next(result for result in found.values() if result is not None)
        row: dict[str, object] = {"metric": name, "unit": first.unit, "better": first.better}
        for table, result in found.items():
            share = first.unit == "share"
            row[table] = (
                ""
                if result is None
                else with_interval(result.value, result.low, result.high, share=share)
            )
            row[f"rows of {table}" if len(shown) > 1 else "rows"] = (
                0 if not result else result.samples
            )
        rows.append(row)
    return pd.DataFrame(rows)


def _groups(shown: Sequence[EvaluatedTable]) -> Iterator[Section]:
    for name in _groupings(shown):
        tables = [(_caption(one, name), _group_table(one, name)) for one in shown]
        lines = ["Grey: fewer than 30 samples, too few to say anything, and not compared."]
        kept = [(caption, table) for caption, table in tables if len(table)]
        yield Section(f"By {_words(name)}", lines, kept)


def _caption(one: EvaluatedTable, name: str) -> str:
    outside = one.groups.ungrouped.get(name, 0)
    return f"{one.name}: {outside:,} rows do not say" if outside else one.name


def _group_table(one: EvaluatedTable, grouping: str) -> pd.DataFrame:
    rows = one.groups.groups
    rows = rows[rows["grouping"] == grouping]
    if not len(rows):
        return rows
    text = rows.assign(figure=[row_figure(row) for _, row in rows.iterrows()])
    table = text.pivot_table(
        index="group", columns="metric", values="figure", aggfunc="first", sort=False
    ).reset_index()
    most = rows.groupby("group", sort=False)[["samples", "people"]].max().reset_index()
    few = rows[rows["metric"] == rows["metric"].iloc[0]].set_index("group")["few"]
    wide = most.merge(table, on="group")
    return wide.assign(few=wide["group"].map(few).astype(bool))


def _gaps(shown: Sequence[EvaluatedTable]) -> Iterator[Section]:
    lines = [
        "Gap: highest less lowest value of the groups with 30 samples or more; ratio: lowest over "
        "highest; Gini: 0 where all groups have the same error, towards 1 where one has all of it. "
        "Chance alone makes gaps above 0, and the wider the smaller the groups. groups.csv and "
        "gaps.csv have every metric and crossing."
    ]
    tables = [(one.name, _gap_table(one)) for one in shown]
    yield Section("How far groups are apart", lines, [pair for pair in tables if len(pair[1])])
    worst = [(one.name, _worst_groups(one)) for one in shown]
    yield Section(
        "Groups with the largest error",
        [f"The {_WORST_SHOWN} with the largest MAE of all groups and crossings that are not few."],
        [pair for pair in worst if len(pair[1])],
    )


def _gap_table(one: EvaluatedTable) -> pd.DataFrame:
    gaps = one.groups.gaps
    shown = gaps[gaps["metric"].isin(["mae", "bias", "coverage"]) & (gaps["compared"] > 1)]
    shown = shown[shown["grouping"] != FIGURE_COLUMN]
    return pd.DataFrame(
        [
            {
                "groups of": _words(str(row["grouping"])),
                "metric": row["metric"],
                "gap": row_figure(row, "gap", "gap_"),
                "ratio": row_figure(row, "ratio", "ratio_"),
                "Gini": row_figure(row, "gini", "gini_"),
                "lowest": row["lowest_group"],
                "highest": row["highest_group"],
                "left out": row["few"],
            }
            for _, row in shown.iterrows()
        ]
    )


def _worst_groups(one: EvaluatedTable) -> pd.DataFrame:
    rows = one.groups.groups
    rows = rows[(rows["metric"] == "mae") & ~rows["few"] & (rows["grouping"] != FIGURE_COLUMN)]
    worst = rows.sort_values("value", ascending=False, kind="stable")[:_WORST_SHOWN]
    return pd.DataFrame(
        [
            {
                "groups of": _words(str(row["grouping"])),
                "group": row["group"],
                "MAE": row_figure(row),
                "samples": row["samples"],
            }
            for _, row in worst.iterrows()
        ]
    )


def _words(name: str) -> str:
    return name.replace("_", " ")
