"""A stress test in words, tables and a page."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Final

import pandas as pd

from agelens.evaluation.reports.page import (
    NOT_FIT,
    Card,
    Page,
    Section,
    bootstrap_words,
    in_words,
)
from agelens.evaluation.reports.result import Result
from agelens.evaluation.sensitivity.estimates import StressEstimates
from agelens.evaluation.sensitivity.stress import MEAN, OF_REFERENCE, StressResult

ESTIMATES_NAME: Final = "estimates.parquet"
LIMITS: Final = (
    "Damage made by a program stands for damage from life no better than its formula: good figures "
    "here promise nothing for make-up, masks, filters, photos of photos, or a camera of its own "
    "kind.",
    "How much a severity spoils depends on how many pixels a face has: compare models on the same "
    "faces, never figures of different photos. Figures of chips and of photos differ as well.",
    "An age estimate is no proof of age, whatever the photo.",
)
_HEADS: Final = {
    "error": "corruption error, years",
    "increase": "increase, years",
    "relative_to_clean": "times clean",
    OF_REFERENCE[0]: "times reference",
    OF_REFERENCE[1]: "increase, times reference's",
}


def stress_sentences(found: StressResult) -> list[str]:
    """What was measured, and what was not."""
    people = "(people unknown)" if found.people is None else f"of {found.people:,} people"
    lines = [
        f"{found.clean:,} of {found.faces:,} faces {people} have an estimate "
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
    shown = {
        head: in_words(rows, name, f"{name}_") for name, head in _HEADS.items() if name in rows
    }
    return pd.DataFrame({"corruption": rows["corruption"].tolist(), **shown})


def detector_table(found: StressResult) -> pd.DataFrame:
    """A row for each other detector."""
    return _conditions(found.severities.iloc[1:].query("severity == 0"))


_HOW: Final = (
    "Corruption error: mean MAE over the five severities. Increase: over that of the same faces "
    "undamaged. Times clean, times reference: summed over severities, over the same sum undamaged, "
    "or of the reference; the mean of the latter is ImageNet-C's mean corruption error, that of "
    "increase over the reference's increase its relative mean corruption error. Only faces that "
    "still have an estimate are counted; the others are failures."
)


def _conditions(rows: pd.DataFrame) -> pd.DataFrame:
    if not len(rows):
        return rows
    other = bool((rows["severity"] == 0).all())
    first = {"condition": rows["corruption"]} if other else {"severity": rows["severity"]}
    return pd.DataFrame(
        {name: values.tolist() for name, values in first.items()}
        | {
            "MAE": in_words(rows, "mae", "mae_"),
            "same faces clean": [f"{value:.2f}" for value in rows["clean_mae"]],
            "increase": in_words(rows, "increase", "increase_"),
            "shift": in_words(rows, "shift", "shift_"),
            "absolute shift": in_words(rows, "absolute_shift", "absolute_shift_"),
            "failed": in_words(rows, "failed_share", "failed_share_", share=True),
            "faces": rows["samples"].tolist(),
            "few": rows["few"].tolist(),
        }
    )


@dataclass(frozen=True, eq=False, repr=False)
class StressReport(Result):
    """What `agelens.evaluation.stress` hands back, with the `estimates` it was made from."""

    kind: ClassVar[str] = "stress"
    found: StressResult
    estimates: StressEstimates

    def sentences(self) -> list[str]:
        """What was measured, and what was not."""
        failed = {word: n for word, n in self.undamaged_statuses.items() if word != "ok"}
        without = ", ".join(f"{count:,} {status}" for status, count in failed.items())
        lines = stress_sentences(self.found)
        return [*lines, f"Without an estimate, undamaged: {without}."] if without else lines

    @property
    def undamaged_statuses(self) -> dict[str, int]:
        """How many faces have which status undamaged."""
        return dict(sorted(Counter(self.estimates.statuses[:, 0].tolist()).items()))

    def to_frame(self) -> pd.DataFrame:
        """A row for each corruption and their mean; `found.severities` has each severity."""
        return self.found.corruptions

    def frames(self) -> dict[str, pd.DataFrame]:
        """Figures by severity and by corruption."""
        return {"severities": self.found.severities, "corruptions": self.found.corruptions}

    def document(self) -> dict[str, Any]:
        """Everything that was measured."""
        found = self.found
        names = ("model", "reference", "faces", "people", "clean", "unlabelled", "clean_mae")
        settings = ("corruptions", "severities", "skipped", "draws", "level", "seed")
        return {name: getattr(found, name) for name in (*names, *settings)}

    def write(self, folder: Path) -> None:
        """See `Result`; `estimates.parquet` names samples, and is what a reference is read from."""
        super().write(folder)
        self.estimates.to_frame().to_parquet(folder / ESTIMATES_NAME, index=False)

    def page(self) -> Page:
        """Limits, corruptions, figures, other detectors, every severity."""
        from agelens.evaluation.reports import stress_figures as draw  # noqa: PLC0415 - matplotlib

        found = self.found
        method = bootstrap_words(found.level, found.draws, found.seed)
        detectors, clean = detector_table(found), found.severities["severity"] == 0
        damaged = found.severities[~clean]
        names = [str(name) for name in damaged["corruption"].unique()]
        every = [
            (str(name), _conditions(rows))
            for name, rows in damaged.groupby("corruption", sort=False)
        ]
        sections = [
            Section(f"By corruption, and the {MEAN}", [_HOW], [("", corruption_table(found))]),
            Section.drawn(
                "What the damages look like", [_DRAWN], examples=draw.damage_examples(names)
            ),
            Section.drawn("Error by severity", error_by_severity=draw.error_by_severity(found)),
            Section.drawn(
                "Shift of the estimate by severity", shift_by_severity=draw.shift_by_severity(found)
            ),
            Section.drawn(
                "Faces without an estimate any more",
                failures_by_severity=draw.failures_by_severity(found),
            ),
            Section("Another detector", [_DETECTOR], [("", detectors)]),
            Section("Every severity", ["Grey: fewer than 30 faces.", method], every),
            Section(NOT_FIT, LIMITS),
        ]
        kept = [one for one in sections if len(detectors) or one.lines != [_DETECTOR]]
        title = f"Stress test of {found.model}"
        return Page(title, kept, stress_sentences(found), list(_cards(found)))


_DETECTOR: Final = "The clean photos, searched by another detector."
_DRAWN: Final = (
    "On a face that is drawn, and so is nobody's; the faces that were measured were damaged alike."
)


def _cards(found: StressResult) -> Iterator[Card]:
    yield Card("MAE undamaged, years", f"{found.clean_mae:.2f}", f"{found.clean:,} faces")
    if not len(found.corruptions):
        return
    rows = found.corruptions.dropna(subset="increase")
    single = rows[rows["corruption"] != MEAN].nlargest(1, "increase")
    for label, part in (("all damages", rows[rows["corruption"] == MEAN]), ("the worst", single)):
        figures = in_words(part, "increase", "increase_")
        for name, figure in zip(part["corruption"], figures, strict=True):
            yield Card.of(label, figure, f"{name}: years added")
