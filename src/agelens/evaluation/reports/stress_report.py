"""A stress test as a folder: JSON, CSVs, the estimates, figures and one page."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from agelens.evaluation.reports.evaluation_figures import GREY
from agelens.evaluation.reports.page import Page, Section, json_rows, plain_json, with_interval
from agelens.evaluation.reports.plotting import COLOURS, drawable, panels, save, title
from agelens.evaluation.sensitivity.conditions import SEVERITIES
from agelens.evaluation.sensitivity.estimates import StressEstimates
from agelens.evaluation.sensitivity.stress import MEAN, OF_REFERENCE, StressResult
from agelens.version import __version__

_COLUMNS: Final = 3


def error_by_severity(found: StressResult) -> Figure | str:
    """MAE by severity, that of the clean photos dotted, and of the reference if there is one."""
    if not found.severities["mae"].notna().any():
        return "No face has an estimate and an age."
    return _grid(found, "mae", "mean absolute error in years", found.clean_mae)


def shift_by_severity(found: StressResult) -> Figure | str:
    """Mean shift of the estimate by severity: above the line damage makes faces older."""
    return _grid(found, "shift", "shift of the estimate in years", 0.0)


def failures_by_severity(found: StressResult) -> Figure | str:
    """Share of faces that have no estimate any more, by severity."""
    if not found.severities["failed"].iloc[1:].any():
        return "Every face that has an estimate undamaged has one under all conditions."
    return _grid(found, "failed_share", "share without estimate", 0.0, share=True)


def _grid(
    found: StressResult, value: str, label: str, line: float, *, share: bool = False
) -> Figure | str:
    damaged = found.severities[found.severities["severity"] > 0]
    names = damaged["corruption"].unique().tolist()
    if not names:
        return "Nothing was damaged."
    columns = min(_COLUMNS, len(names))
    rows = math.ceil(len(names) / columns)
    figure, axes = panels(
        columns,
        rows=rows,
        size_inches=(3.4 * columns + 0.6, 2.6 * rows + 0.5),
        sharex=True,
        sharey=True,
    )
    every: list[Axes] = axes.ravel().tolist()
    for place, panel in enumerate(every):
        if place >= len(names):
            panel.set_axis_off()
            continue
        _panel(panel, damaged[damaged["corruption"] == names[place]], value, line)
        title(panel, names[place])
        if place % columns == 0:
            panel.set_ylabel(label)
        if place + columns >= len(names):
            panel.set_xlabel("severity")
            panel.tick_params(labelbottom=True)
        if share:
            panel.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    _reference(axes[0, 0], found, value)
    if value != "shift":
        axes[0, 0].set_ylim(bottom=0, auto=True)
    return figure


def _panel(panel: Axes, rows: pd.DataFrame, value: str, line: float) -> None:
    severity, middle = rows["severity"].to_numpy(), rows[value].to_numpy(np.float64)
    low, high = (rows[f"{value}_{end}"].to_numpy(np.float64) for end in ("low", "high"))
    few = rows["few"].to_numpy(dtype=bool)
    panel.axhline(line, color="black", linewidth=0.8, linestyle=":", zorder=0)
    if value == "mae" and "reference_mae" in rows:
        panel.plot(severity, rows["reference_mae"], "s--", color=COLOURS[1], markersize=3)
    panel.plot(severity, middle, color=COLOURS[0], linewidth=1, alpha=0.5)
    for some, colour in ((~few, COLOURS[0]), (few, GREY)):
        reach = np.abs(np.maximum([middle[some] - low[some], high[some] - middle[some]], 0))
        panel.errorbar(
            *(severity[some], middle[some]),
            yerr=np.nan_to_num(reach),
            fmt="o",
            markersize=4,
            capsize=2,
            linewidth=1,
            color=colour,
        )
    panel.set_xticks(SEVERITIES)
    panel.set_xlim(0.6, SEVERITIES[-1] + 0.4)
    panel.grid(axis="y", alpha=0.3)


def _reference(panel: Axes, found: StressResult, value: str) -> None:
    if value != "mae":
        return
    panel.plot([], [], "o-", color=COLOURS[0], markersize=4, label=drawable(found.model))
    if found.reference is not None:
        panel.plot([], [], "s--", color=COLOURS[1], markersize=3, label=drawable(found.reference))
    panel.plot([], [], ":", color="black", linewidth=0.8, label="undamaged")
    panel.legend(fontsize=7, frameon=False)


PAGE_NAME: Final = "index.html"
ESTIMATES_NAME: Final = "estimates.parquet"
LIMITS: Final = (
    "Damage made by a program stands for damage from life no better than its formula: good figures "
    "here promise nothing for make-up, masks, filters, photos of photos, or a camera of its own "
    "kind.",
    "How much a severity spoils depends on how many pixels a face has: compare models on the same "
    "faces, never figures of different photos. Figures of chips and of photos differ as well.",
    "An age estimate is no proof of age, whatever the photo.",
)
_FIGURES: Final = {
    "error_by_severity": ("Error by severity", error_by_severity),
    "shift_by_severity": ("Shift of the estimate by severity", shift_by_severity),
    "failures_by_severity": ("Faces without an estimate any more", failures_by_severity),
}
_HEADS: Final = {
    "error": "corruption error, years",
    "increase": "increase, years",
    "relative_to_clean": "times clean",
    OF_REFERENCE[0]: "times reference",
    OF_REFERENCE[1]: "increase, times reference's",
}


def stress_document(found: StressResult) -> dict[str, Any]:
    """Everything that was measured as plain JSON types; null for what is not defined."""
    names = ("model", "reference", "faces", "people", "clean", "unlabelled", "clean_mae")
    settings = ("draws", "level", "seed")
    return plain_json({name: getattr(found, name) for name in names}) | {
        "corruptions": json_rows(found.corruptions),
        "severities": json_rows(found.severities),
        "skipped": dict(found.skipped),
        **{name: getattr(found, name) for name in settings},
        "agelens_version": __version__,
    }


def write_stress(found: StressResult, estimates: StressEstimates, folder: Path) -> None:
    """Write `stress.json`, two CSVs, `estimates.parquet`, figures and `index.html`.

    `estimates.parquet` names samples, and is what another run takes as its reference.
    """
    text = json.dumps(stress_document(found), indent=1, ensure_ascii=False, allow_nan=False)
    (folder / "stress.json").write_text(text + "\n", encoding="utf-8")
    found.severities.to_csv(folder / "severities.csv", index=False)
    found.corruptions.to_csv(folder / "corruptions.csv", index=False)
    estimates.to_frame().to_parquet(folder / ESTIMATES_NAME, index=False)
    figures = []
    for name, (heading, draw) in _FIGURES.items():
        figure = draw(found)
        if isinstance(figure, str):
            figures.append(Section(heading, [figure]))
        else:
            save(figure, folder / f"{name}.png")
            figures.append(Section(heading, images=[f"{name}.png"]))
    (folder / PAGE_NAME).write_text(_page(found, figures).to_html(), encoding="utf-8")


def stress_sentences(found: StressResult) -> list[str]:
    """What was measured, and what was not."""
    lines = [
        f"{found.clean:,} of {found.faces:,} faces of {found.people:,} people have an estimate "
        f"undamaged, with a MAE of {found.clean_mae:.2f} years; {found.unlabelled:,} have no age."
    ]
    if found.reference is not None:
        lines.append(f"The reference is {found.reference}, on the faces that both estimate.")
    lines += [f"Not measured: {name}: {why}." for name, why in found.skipped.items()]
    return lines


def corruption_table(found: StressResult) -> pd.DataFrame:
    """A row for each corruption and their mean, figures with intervals in brackets."""
    rows = found.corruptions
    if not len(rows):
        return rows
    shown = {head: _figures(rows, name) for name, head in _HEADS.items() if name in rows}
    return pd.DataFrame({"corruption": rows["corruption"].tolist(), **shown})


def detector_table(found: StressResult) -> pd.DataFrame:
    """A row for each other detector."""
    return _conditions(found.severities.iloc[1:].query("severity == 0"))


def _page(found: StressResult, figures: list[Section]) -> Page:
    return Page(f"Stress test of {found.model}", list(_sections(found, figures)))


def _sections(found: StressResult, figures: list[Section]) -> Iterator[Section]:
    yield Section("What this may not be used for", LIMITS)
    yield Section("What was measured", [*stress_sentences(found), _method(found)])
    yield Section(f"By corruption, and the {MEAN}", [_HOW], [("", corruption_table(found))])
    yield from figures
    detectors = detector_table(found)
    if len(detectors):
        lines = ["The clean photos, searched by another detector."]
        yield Section("Another detector", lines, [("", detectors)])
    damaged = found.severities[found.severities["severity"] > 0]
    tables = [
        (str(name), _conditions(rows)) for name, rows in damaged.groupby("corruption", sort=False)
    ]
    yield Section("Every severity", ["Grey: fewer than 30 faces."], tables)


_HOW: Final = (
    "Corruption error: mean MAE over the five severities. Increase: over that of the same faces "
    "undamaged. Times clean, times reference: summed over severities, over the same sum undamaged, "
    "or of the reference; the mean of the latter is ImageNet-C's mean corruption error, that of "
    "increase over the reference's increase its relative mean corruption error. Only faces that "
    "still have an estimate are counted; the others are failures."
)


def _method(found: StressResult) -> str:
    if not found.draws:
        return "No intervals were asked for."
    return (
        f"In brackets the {100 * found.level:g} % bootstrap interval of {found.draws:,} draws of "
        f"people with all their pictures (seed {found.seed})."
    )


def _conditions(rows: pd.DataFrame) -> pd.DataFrame:
    if not len(rows):
        return rows
    other = bool((rows["severity"] == 0).all())
    first = {"condition": rows["corruption"]} if other else {"severity": rows["severity"]}
    return pd.DataFrame(
        {name: values.tolist() for name, values in first.items()}
        | {
            "MAE": _figures(rows, "mae"),
            "same faces clean": [f"{value:.2f}" for value in rows["clean_mae"]],
            "increase": _figures(rows, "increase"),
            "shift": _figures(rows, "shift"),
            "absolute shift": _figures(rows, "absolute_shift"),
            "failed": _figures(rows, "failed_share", share=True),
            "faces": rows["samples"].tolist(),
            "few": rows["few"].tolist(),
        }
    )


def _figures(rows: pd.DataFrame, name: str, *, share: bool = False) -> list[str]:
    columns = (rows[name], rows[f"{name}_low"], rows[f"{name}_high"])
    return [with_interval(*one, share=share) for one in zip(*columns, strict=True)]
