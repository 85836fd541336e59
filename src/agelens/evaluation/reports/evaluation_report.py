"""An evaluation as a folder: JSON, CSVs, figures and one page."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeAlias

import pandas as pd
from matplotlib.figure import Figure

from agelens.evaluation.by_group import FIGURE_COLUMN
from agelens.evaluation.evaluate import worst_errors
from agelens.evaluation.groups import BETWEEN
from agelens.evaluation.reports.evaluation_figures import (
    EvaluatedTable,
    bias_by_age,
    coverage_by_age,
    error_by_age,
    residuals_by,
)
from agelens.evaluation.reports.page import Page, Section, row_figure, with_interval
from agelens.evaluation.reports.plotting import save
from agelens.evaluation.reports.reliability import distribution_calibration
from agelens.version import __version__

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
_WORST_SHOWN: Final = 10


def evaluation_page(shown: Sequence[EvaluatedTable], figures: Sequence[Section]) -> Page:
    """The page of one table or of several side by side; `figures` come before the groups."""
    names = " and ".join(one.name for one in shown)
    sections = [
        Section("What this may not be used for", _limits(shown)),
        Section("What was measured", tables=[(one.name, _counts(one)) for one in shown]),
        Section("All rows", [_method(shown[0])], [("", _metrics(shown))]),
        *figures,
        *_groups(shown),
        *_gaps(shown),
    ]
    return Page(f"Evaluation of {names}", sections)


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
    if one.evaluation.interval_level is not None:
        rows.append(("intervals claim", f"{100 * one.evaluation.interval_level:g} %"))
    return pd.DataFrame(rows, columns=["what", "count"]).astype({"count": object})


def _method(one: EvaluatedTable) -> str:
    found = one.evaluation
    if not found.draws:
        return "No intervals were asked for."
    return (
        f"In brackets the {100 * found.level:g} % bootstrap interval of {found.draws:,} draws of "
        f"people with all their pictures (seed {found.seed}). Rows without an estimate, or without "
        "the label that a metric needs, are left out of it and counted in metrics.csv."
    )


def _metrics(shown: Sequence[EvaluatedTable]) -> pd.DataFrame:
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
    names = dict.fromkeys(
        name for one in shown for name in one.groups.groups["grouping"] if BETWEEN not in name
    )
    for name in names:
        if name == FIGURE_COLUMN:
            continue
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


PAGE_NAME: Final = "index.html"

_Draw: TypeAlias = Callable[[Sequence[EvaluatedTable]], Figure | str]


def evaluation_document(shown: Sequence[EvaluatedTable]) -> dict[str, Any]:
    """Everything that was measured as plain JSON types."""
    return {"tables": [one.to_json() for one in shown], "agelens_version": __version__}


def write_evaluation(shown: Sequence[EvaluatedTable], folder: Path) -> None:
    """Write `evaluation.json`, four CSVs, the figures and `index.html` into `folder`.

    `worst.csv` names samples; the page does not.
    """
    text = json.dumps(
        evaluation_document(shown), indent=1, ensure_ascii=False, allow_nan=False, default=_plain
    )
    (folder / "evaluation.json").write_text(text + "\n", encoding="utf-8")
    for name, parts in {
        "metrics": [_metrics_table(one) for one in shown],
        "groups": [one.groups.groups for one in shown],
        "gaps": [one.groups.gaps for one in shown],
        "worst": [worst_errors(one.predictions) for one in shown],
    }.items():
        _stacked(shown, parts).to_csv(folder / f"{name}.csv", index=False)
    figures = [
        _drawn(folder, name, title, draw(shown)) for name, (title, draw) in _figures(shown).items()
    ]
    page = evaluation_page(shown, figures)
    (folder / PAGE_NAME).write_text(page.to_html(), encoding="utf-8")


def _figures(shown: Sequence[EvaluatedTable]) -> dict[str, tuple[str, _Draw]]:
    found = shown[0].evaluation
    calibration = partial(distribution_calibration, draws=found.draws, level=found.level)
    figures: dict[str, tuple[str, _Draw]] = {
        "error_by_age": ("Error by age", error_by_age),
        "bias_by_age": ("Bias by age", bias_by_age),
        "coverage_by_age": ("Coverage of the intervals by age", coverage_by_age),
        "distribution_calibration": ("Calibration of the distributions", calibration),
    }
    columns = dict.fromkeys(name for one in shown for name in one.groups.groups["grouping"])
    for name in columns:
        if BETWEEN not in name and name != FIGURE_COLUMN:
            title = f"Residuals by {name.replace('_', ' ')}"
            file = re.sub(r"\W+", "_", f"residuals_by_{name}")  # a column's name is anybody's
            figures[file] = (title, partial(residuals_by, column=name))
    return figures


def _drawn(folder: Path, name: str, title: str, figure: Figure | str) -> Section:
    if isinstance(figure, str):
        return Section(title, [figure])
    save(figure, folder / f"{name}.png")
    return Section(title, images=[f"{name}.png"])


def _metrics_table(one: EvaluatedTable) -> pd.DataFrame:
    rows = [{"metric": name, **found.to_json()} for name, found in one.evaluation.metrics.items()]
    return pd.DataFrame(rows)


def _stacked(shown: Sequence[EvaluatedTable], parts: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Rows of all tables, the table's name first."""
    named = []
    for one, part in zip(shown, parts, strict=True):
        plain = part.astype(object)
        plain.insert(0, "table", one.name)
        named.append(plain)
    return pd.concat(named, ignore_index=True)


def _plain(value: Any) -> Any:
    """NumPy's numbers as Python's."""
    return value.item()
