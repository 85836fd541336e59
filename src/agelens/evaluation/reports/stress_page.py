"""A stress test as a folder: JSON, CSVs, the estimates, figures and one page."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pandas as pd

from agelens.evaluation.reports.canvas import save
from agelens.evaluation.reports.figures_text import with_interval
from agelens.evaluation.reports.json_rows import json_rows, plain_json
from agelens.evaluation.reports.page import Page, Section
from agelens.evaluation.reports.stress_figures import (
    error_by_severity,
    failures_by_severity,
    shift_by_severity,
)
from agelens.evaluation.sensitivity.estimates import StressEstimates
from agelens.evaluation.sensitivity.stress import StressResult
from agelens.evaluation.sensitivity.stress_rows import MEAN, OF_REFERENCE
from agelens.version import __version__

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
