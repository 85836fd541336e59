"""An evaluation of one table or of several side by side: its page, its folder, its words."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final

import pandas as pd

from agelens.evaluation.all_rows import MetricResult, worst_errors
from agelens.evaluation.by_group import FIGURE_COLUMN, EvaluatedTable
from agelens.evaluation.groups import BETWEEN
from agelens.evaluation.metrics import METRICS
from agelens.evaluation.reports.page import (
    NOT_FIT,
    Card,
    Page,
    Section,
    bootstrap_words,
    in_words,
    with_interval,
)
from agelens.evaluation.reports.result import Result
from agelens.evaluation.table_checks import UNKNOWN_PEOPLE, people_words

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
_GAPS: Final = (
    "Gap: highest less lowest value of the groups with 30 samples or more; ratio: lowest over "
    "highest; Gini: 0 where all groups have the same error, towards 1 where one has all of it. "
    "Chance alone makes gaps above 0, and the wider the smaller the groups. groups.csv and "
    "gaps.csv have every metric and crossing."
)
_REST: Final = "Other metrics, and groups two at a time, are in groups.csv."
_GREY: Final = "Grey: fewer than 30 samples, too few to say anything, and not compared."
_WORST_SHOWN: Final = 10
_ADULT: Final = "false_adult@18"


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
        """Three sentences, headline numbers, figures, groups, gaps, every metric, limits."""
        from agelens.evaluation.reports import evaluation_figures as draw  # noqa: PLC0415
        from agelens.evaluation.reports.reliability import (  # noqa: PLC0415 - both: matplotlib
            distribution_calibration,
        )

        shown, found = self.tables, self.tables[0].evaluation
        method = bootstrap_words(found.level, found.draws, found.seed)
        if found.draws:
            method += _LEFT_OUT
        calibration = distribution_calibration(shown, draws=found.draws, level=found.level)
        groups = {
            f"groups_{number}" if len(shown) > 1 else "groups_by_error": draw.groups_figure(one)
            for number, one in enumerate(shown, 1)
        }
        sections = [
            Section.drawn("Estimate against age", estimate_by_age=draw.estimate_by_age(shown)),
            Section.drawn(
                "Error and bias by age",
                error_by_age=draw.error_by_age(shown),
                bias_by_age=draw.bias_by_age(shown),
            ),
            Section.drawn("Share of faces within so many years", cs_curve=draw.cs_curve(shown)),
            Section.drawn("Error by group", [_GREY], **groups),
            Section("Groups in numbers", [_GREY, _REST], _group_tables(shown)),
            *self._gap_sections(draw.gaps_figure(shown)),
            Section.drawn(
                "Intervals and distributions",
                coverage_by_age=draw.coverage_by_age(shown),
                distribution_calibration=calibration,
            ),
            Section("Every metric", [method], [("", metric_rows(shown, definitions=True))]),
            Section("What was measured", tables=[(one.name, _counts(one)) for one in shown]),
            Section(NOT_FIT, _limits(shown)),
        ]
        several = len(shown) > 1
        lead = [
            f"{one.name}: {line}" if several else line for one in shown for line in _in_short(one)
        ]
        cards = [card for one in shown for card in _cards(one, f"{one.name}: " if several else "")]
        names = " and ".join(one.name for one in shown)
        return Page(f"Evaluation of {names}", sections, lead, cards)

    def _gap_sections(self, figure: Any) -> Iterator[Section]:
        drawn = Section.drawn("How far groups are apart", gaps_by_error=figure)
        tables = [(one.name, _gap_table(one)) for one in self.tables]
        yield Section(drawn.title, [*drawn.lines, _GAPS], tables, figures=drawn.figures)
        worst = [(one.name, _worst_groups(one)) for one in self.tables]
        line = f"The {_WORST_SHOWN} with the largest MAE of all groups and crossings, but for few."
        yield Section("Groups with the largest error", [line], worst)

    def _stacked(self, parts: Sequence[pd.DataFrame]) -> pd.DataFrame:
        """Rows of all tables, the table's name first."""
        named = []
        for one, part in zip(self.tables, parts, strict=True):
            plain = part.astype(object)
            plain.insert(0, "table", one.name)
            named.append(plain)
        return pd.concat(named, ignore_index=True)


def _in_short(one: EvaluatedTable) -> Iterator[str]:
    """How far off, for whom worst, and how often a minor is called an adult."""
    metrics, kinds = one.evaluation.metrics, one.evaluation.counts.age_kinds
    mae, cs5 = metrics.get("mae"), metrics.get("cs@5")
    if mae is None or math.isnan(mae.value):
        yield "How far the estimates are off was not measured: no row has an estimate and an age."
        return
    of = (
        "the true age"
        if {*kinds} <= {"real"}
        else f"the labelled age (labels: {', '.join(kinds) or 'unstated'})"
    )
    within = "" if cs5 is None else f"; {_figure(cs5)} of them are off by five years or less"
    yield (
        f"On average the estimates of {mae.samples:,} faces are {_figure(mae)} years off {of}"
        f"{within}."
    )
    yield _worst_sentence(one)
    adult = metrics.get(_ADULT)
    if adult is None or math.isnan(adult.value):
        why = "" if adult is None else ": nobody here is under 18"
        yield f"How often a minor is called an adult was not measured{why}."
    else:
        yield (
            f"Of {adult.samples:,} faces of people under 18, {_figure(adult)} are estimated "
            "at 18 or older, and so called adults."
        )


def _worst_sentence(one: EvaluatedTable) -> str:
    rows = one.groups.groups
    plain = ~rows["grouping"].str.contains(BETWEEN, regex=False) & ~rows["few"].astype(bool)
    rows = rows[plain & (rows["grouping"] != FIGURE_COLUMN)]
    mae = rows[rows["metric"] == "mae"].dropna(subset="value")
    if len(mae) < 2:
        return "For whom it is worst was not measured: there are no two groups of 30 faces."
    worst = mae.nlargest(1, "value").iloc[0]
    bias = rows[(rows["metric"] == "bias") & (rows["grouping"] == worst["grouping"])]
    years = bias.loc[bias["group"] == worst["group"], "value"]
    way = "" if years.empty else f", on average {abs(years.iloc[0]):.1f} years too "
    way += "" if years.empty else ("old" if years.iloc[0] > 0 else "young")
    (text,) = in_words(worst.to_frame().T)
    return (
        f"It is worst for {_words(str(worst['grouping']))} {worst['group']}: {text} years off"
        f"{way} ({worst['samples']:,} faces)."
    )


def _figure(found: MetricResult) -> str:
    return with_interval(found.value, found.low, found.high, share=found.unit == "share")


_CARDS: Final = {
    "mae": "mean absolute error, years",
    "bias": "bias, years: above 0 too old",
    "cs@5": "within five years",
    _ADULT: "under 18, estimated 18 or more",
    "coverage": "ages inside their interval",
}


def _cards(one: EvaluatedTable, prefix: str) -> Iterator[Card]:
    found, counts = one.evaluation, one.evaluation.counts
    for name, label in _CARDS.items():
        result = found.metrics.get(name)
        if result is not None and not math.isnan(result.value):
            claimed = name == "coverage" and found.interval_level
            note = f"claimed: {100 * claimed:g} %" if claimed else f"{result.samples:,} faces"
            yield Card.of(f"{prefix}{label}", _figure(result), note)
    yield Card(f"{prefix}rows", f"{counts.rows:,}", people_words(counts))


def _measured(one: EvaluatedTable) -> str:
    counts = one.evaluation.counts
    kinds = ", ".join(f"{count:,} {kind}" for kind, count in counts.age_kinds.items())
    notes = "".join(f"; {note}" for note in one.notes)
    return (
        f"{one.name}: {counts.rows:,} rows, {people_words(counts)}, "
        f"{counts.without_estimate:,} without estimate, {counts.without_age:,} without age; "
        f"ages: {kinds or 'none'}{notes}"
    )


def _limits(shown: Sequence[EvaluatedTable]) -> list[str]:
    lines = list(LIMITS)
    if any("estimated" in one.evaluation.counts.age_kinds for one in shown):
        lines.append(ESTIMATED_LABELS)
    for one in shown:
        counts = one.evaluation.counts
        if unnamed := counts.rows - counts.named:
            lines.append(f"{one.name}: {UNKNOWN_PEOPLE.format(rows=unnamed)}")
        frame = one.predictions.frame
        trained = frame[(frame["split"] == "train").to_numpy(dtype=bool, na_value=False)]
        for dataset in trained["dataset"].dropna().unique():
            lines.append(SEEN_IN_TRAINING.format(part="train", dataset=dataset))
    return list(dict.fromkeys(lines))


def counted(facts: dict[str, object]) -> pd.DataFrame:
    """Facts as a table `what`, `count`."""
    words = {n: f"{one:,}" if isinstance(one, int) else one for n, one in facts.items()}
    return pd.DataFrame(list(words.items()), columns=["what", "count"])


def _counts(one: EvaluatedTable) -> pd.DataFrame:
    found, counts = one.evaluation, one.evaluation.counts
    facts: dict[str, object] = {
        "rows": counts.rows,
        "people": people_words(counts),
        "without estimate": counts.without_estimate,
        "without age": counts.without_age,
        **{f"status {word}": count for word, count in counts.statuses.items()},
        **{f"ages {word}": count for word, count in counts.age_kinds.items()},
        "datasets": ", ".join(found.datasets) or "not stated",
        "models": ", ".join(found.models) or "not stated",
        **{f"note {number}": note for number, note in enumerate(one.notes, 1)},
    }
    if found.interval_level is not None:
        facts["intervals claim"] = f"{100 * found.interval_level:g} %"
    return counted(facts)


def metric_rows(shown: Sequence[EvaluatedTable], *, definitions: bool = False) -> pd.DataFrame:
    """Metrics of all rows in words, a column a table; those that count the same are one row."""
    names = dict.fromkeys(name for one in shown for name in one.evaluation.metrics)
    rows: dict[tuple[object, ...], dict[str, object]] = {}
    for name in names:
        found = {one.name: one.evaluation.metrics.get(name) for one in shown}
        row: dict[str, object] = {"metric": name}
        for table, result in found.items():
            row[table] = "" if result is None else _figure(result)
            row[f"rows of {table}" if len(shown) > 1 else "rows"] = (
                0 if not result else result.samples
            )
        better = {result.better for result in found.values() if result is not None}
        # Shares of errors up to one bound, such as cs@5 and ca_at_most@5.
        _, at, bound = name.partition("@")
        key = (bound if at else name, *better, *list(row.values())[1:])
        same = rows.setdefault(key, row)
        if same is not row:
            same["metric"] = f"{same['metric']} = {name}"
        elif definitions and name in METRICS:
            row["what it is"] = METRICS[name].summary
    return pd.DataFrame(list(rows.values())).fillna("")


def _group_tables(shown: Sequence[EvaluatedTable]) -> list[tuple[str, pd.DataFrame]]:
    names = dict.fromkeys(name for one in shown for name in one.groups.groups["grouping"])
    kept = [name for name in names if BETWEEN not in name and name != FIGURE_COLUMN]
    tables = []
    for name in kept:
        for one in shown:
            caption = _words(name) if len(shown) == 1 else f"{one.name}: {_words(name)}"
            outside = one.groups.ungrouped.get(name, 0)
            caption += f" ({outside:,} rows do not say)" if outside else ""
            tables.append((caption, _group_table(one, name)))
    return [(caption, table) for caption, table in tables if len(table)]


_NOT_SHOWN: Final = ("rmse", "mean_width", "false_minor@18")


def _group_table(one: EvaluatedTable, grouping: str) -> pd.DataFrame:
    rows = one.groups.groups
    rows = rows[rows["grouping"] == grouping]
    if not len(rows):
        return rows
    table = rows.assign(figure=in_words(rows)).pivot_table(
        index="group", columns="metric", values="figure", aggfunc="first", sort=False
    )
    counts = ["samples", *(["people"] if one.evaluation.counts.named else [])]
    most = rows.groupby("group", sort=False)[counts].max()
    few = rows.groupby("group", sort=False)["few"].first().astype(bool)
    table = table.drop(columns=[name for name in _NOT_SHOWN if name in table])
    return most.join(table).assign(few=few).reset_index()


def _gap_table(one: EvaluatedTable) -> pd.DataFrame:
    gaps = one.groups.gaps
    shown = gaps[gaps["metric"].isin(["mae", "bias", "coverage"]) & (gaps["compared"] > 1)]
    shown = shown[~shown["grouping"].str.contains(BETWEEN, regex=False)]
    shown = shown[shown["grouping"] != FIGURE_COLUMN]
    return pd.DataFrame(
        {
            "groups of": shown["grouping"].map(_words),
            "metric": shown["metric"],
            "gap": in_words(shown, "gap", "gap_"),
            "ratio": in_words(shown, "ratio", "ratio_"),
            "Gini": in_words(shown, "gini", "gini_"),
            "lowest": shown["lowest_group"],
            "highest": shown["highest_group"],
            "left out": shown["few"],
        }
    )


def _worst_groups(one: EvaluatedTable) -> pd.DataFrame:
    rows = one.groups.groups
    rows = rows[(rows["metric"] == "mae") & ~rows["few"] & (rows["grouping"] != FIGURE_COLUMN)]
    worst = rows.sort_values("value", ascending=False, kind="stable")[:_WORST_SHOWN]
    return pd.DataFrame(
        {
            "groups of": worst["grouping"].map(_words),
            "group": worst["group"],
            "MAE": in_words(worst),
            "samples": worst["samples"],
        }
    )


def _words(name: str) -> str:
    return str(name).replace("_", " ")
