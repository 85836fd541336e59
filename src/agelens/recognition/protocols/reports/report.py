"""A protocol's result as a folder: JSON, CSVs, figures and one page."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pandas as pd
from matplotlib.figure import Figure

from agelens.evaluation.groups.group_rows import FEW
from agelens.evaluation.reports.canvas import save
from agelens.evaluation.reports.page import Page, Section
from agelens.recognition.protocols.identification import Identification
from agelens.recognition.protocols.reports.curves import gap_figure, match_curve, roc_figure
from agelens.recognition.protocols.reports.limits import LIMITS, MODEL_MADE_AGES, SUBJECTS_UNKNOWN
from agelens.recognition.protocols.reports.tables import counts, gap_rows, in_words, rate_rows
from agelens.recognition.protocols.verification import Verification
from agelens.version import __version__

PAGE_NAME: Final = "index.html"

_HOW: Final = {
    "leave-one-out": "Each picture is searched for among all others; it is found at rank k if "
    "k - 1 pictures of other people are at least as similar to it as the most similar one of its "
    "own person. The age gap is that to the person's picture nearest in age.",
    "megaface": "Each two pictures of a person, one searched for and one in the gallery, with all "
    "pictures of other people beside it. This is not MegaFace itself, whose gallery has a "
    "million others.",
    "probe-gallery": "Each probe is searched for in the gallery; it is found at rank k if k - 1 "
    "pictures of other people are at least as similar to it as the most similar one of its own "
    "person.",
}
_HOW_VERIFIED: Final = (
    "A pair matches where its cosine is at least the threshold, which is chosen for each fold on "
    "all other folds."
)


def protocol_document(found: Identification | Verification) -> dict[str, Any]:
    """Everything that was measured as plain JSON types."""
    return {**found.to_json(), "agelens_version": __version__}


def write_protocol(found: Identification | Verification, folder: Path) -> None:
    """Write `result.json`, CSVs, figures and `index.html` into `folder`.

    `left_out.csv` names pictures; the page does not.
    """
    text = json.dumps(protocol_document(found), indent=1, ensure_ascii=False, allow_nan=False)
    (folder / "result.json").write_text(text + "\n", encoding="utf-8")
    for name, rows in _csvs(found):
        rows.to_csv(folder / f"{name}.csv", index=False)
    sections = [
        Section("What this may not be used for", [*LIMITS, *_cautions(found)]),
        Section("What was measured", [_how(found)], [("", counts(found))]),
        Section("Figures", [_method(found)], [("", in_words(rate_rows(found)))]),
        *_figures(found, folder),
    ]
    page = Page(f"Recognition: {found.protocol} of {found.model.name}", sections)
    (folder / PAGE_NAME).write_text(page.to_html(), encoding="utf-8")


def _csvs(found: Identification | Verification) -> Iterator[tuple[str, pd.DataFrame]]:
    yield "figures", rate_rows(found)
    yield "by_age_gap", gap_rows(found)
    yield "left_out", found.left_out
    if isinstance(found, Verification):
        yield "folds", pd.DataFrame(found.to_json()["folds"])


def _cautions(found: Identification | Verification) -> list[str]:
    lines = [MODEL_MADE_AGES] if found.age_kinds.get("estimated") else []
    if isinstance(found, Verification) and not found.pairs.subjects_known:
        lines.append(SUBJECTS_UNKNOWN)
    return lines


def _how(found: Identification | Verification) -> str:
    return _HOW[found.protocol] if isinstance(found, Identification) else _HOW_VERIFIED


def _method(found: Identification | Verification) -> str:
    how = found.resampling
    if not how.draws:
        return "No intervals were asked for."
    return (
        f"In brackets the {100 * how.level:g} % bootstrap interval of {how.draws:,} draws of "
        f"people with all their pictures (seed {how.seed})."
    )


def _figures(found: Identification | Verification, folder: Path) -> Iterator[Section]:
    if isinstance(found, Identification):
        yield _drawn("Ranks (CMC)", match_curve(found), folder / "cmc.png")
        gaps = gap_figure(found.by_gap, "found at rank 1")
    else:
        yield Section("Folds", tables=[("", pd.DataFrame(found.to_json()["folds"]))])
        yield _drawn("ROC", roc_figure(found), folder / "roc.png")
        true_match = {gap: rates.true_match for gap, rates in found.by_gap.items()}
        gaps = gap_figure(true_match, "pairs of one person that match")
    drawn = _drawn("By age gap", gaps, folder / "by_age_gap.png")
    if not drawn.images:
        yield drawn
        return
    rows = gap_rows(found)
    rows = rows[rows["trials"] > 0]
    lines = [f"Grey: fewer than {FEW} trials, too few to say anything."]
    table = in_words(rows).assign(few=rows["trials"] < FEW)
    yield Section(drawn.title, lines, [("", table)], drawn.images)


def _drawn(title: str, figure: Figure | str, path: Path) -> Section:
    if isinstance(figure, str):
        return Section(title, [figure])
    save(figure, path)
    return Section(title, images=[path.name])
