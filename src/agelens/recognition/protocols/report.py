"""A protocol's result as a folder: JSON, CSVs, figures and one page."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from agelens.evaluation.groups import FEW
from agelens.evaluation.reports.page import Page, Section, with_interval
from agelens.evaluation.reports.plotting import COLOURS, panels, save, title
from agelens.recognition.protocols.identification import Identification
from agelens.recognition.protocols.rates import Rate
from agelens.recognition.protocols.verification import Verification
from agelens.version import __version__

_NO_INTERVAL = float("nan")


def rate_rows(found: Identification | Verification) -> pd.DataFrame:
    """The main figures: `figure, value, low, high, trials, people`."""
    return pd.DataFrame([_row(name, rate) for name, rate in _rates(found)])


def gap_rows(found: Identification | Verification) -> pd.DataFrame:
    """Figures by age gap: as `rate_rows`, `age_gap` first."""
    rows = [
        {"age_gap": gap, **_row(name, rate)}
        for gap, rates in _gap_rates(found).items()
        for name, rate in rates.items()
    ]
    return pd.DataFrame(rows)


def counts(found: Identification | Verification) -> pd.DataFrame:
    """What was measured, and what was not: `what, count`."""
    rows: list[tuple[str, object]] = [("model", str(found.model))]
    if isinstance(found, Identification):
        rows += found.pictures.items()
        rows += [
            ("searches (trials)", len(found.trials)),
            ("searches if every picture had an embedding", found.expected_trials),
            ("searches of unknown age gap", found.gap_unknown),
        ]
    else:
        same = int(found.pairs.same.sum())
        rows += [
            ("pairs listed", found.expected_pairs),
            ("pairs measured", len(found.pairs)),
            ("of one person", same),
            ("of two people", len(found.pairs) - same),
            ("pairs that the table's subjects contradict", found.pairs.contradictions),
        ]
    rows += [(f"left out: {why}", n) for why, n in found.left_out["why"].value_counts().items()]
    rows += [(f"ages {kind}", n) for kind, n in found.age_kinds.items()]
    return pd.DataFrame(rows, columns=["what", "count"]).astype({"count": object})


def in_words(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows of rates with value and interval as one text."""
    numbers = rows[["value", "low", "high"]].to_numpy(dtype=float).tolist()
    text = [with_interval(*one, share=True) for one in numbers]
    others = rows.drop(columns=["value", "low", "high"])
    others.insert(list(others).index("trials"), "share", text)
    return others


def _rates(found: Identification | Verification) -> Iterator[tuple[str, Rate]]:
    if isinstance(found, Identification):
        yield from ((f"rank-{rank}", rate) for rank, rate in found.rates.items())
        wrong = found.rank_1_missing_as_wrong
        trials, people = found.expected_trials, found.rates[1].people
        yield "rank-1, missing as wrong", _plain(wrong, trials, people)
        return
    people = found.accuracy.people
    yield "accuracy, mean of folds", found.accuracy
    wrong = found.accuracy_missing_as_wrong
    yield "accuracy, missing as wrong", _plain(wrong, found.expected_pairs, people)
    yield "area under the ROC", found.area
    yield "equal error rate", found.equal_error
    for rate, value in found.true_match_at.items():
        yield f"true matches at {100 * rate:g} % false", _plain(value, len(found.pairs), people)


def _gap_rates(found: Identification | Verification) -> dict[str, dict[str, Rate]]:
    if isinstance(found, Identification):
        return {gap: {"rank-1": rate} for gap, rate in found.by_gap.items()}
    return {
        gap: {
            "accuracy": rates.accuracy,
            "true match rate": rates.true_match,
            "false match rate": rates.false_match,
        }
        for gap, rates in found.by_gap.items()
    }


def _plain(value: float, trials: int, people: int) -> Rate:
    return Rate(value, _NO_INTERVAL, _NO_INTERVAL, trials, people)


def _row(name: str, rate: Rate) -> dict[str, object]:
    document = rate.to_json()
    numbers = {key: math.nan if value is None else value for key, value in document.items()}
    return {"figure": name, **numbers}


LIMITS: Final = (
    "A match is a hint, not proof of who somebody is. Nobody may be let in, turned away, accused, "
    "searched or arrested because of one: a person must look, and the one concerned must be heard.",
    "Do not search for people who have not agreed to be found, nor watch places where people have "
    "not been asked; in many countries that is forbidden by law.",
    "The figures hold for people and pictures like those of the table. The more people are "
    "searched, the more strangers look alike: rank-1 among a thousand pictures promises nothing "
    "among a million.",
    "False matches are not spread evenly over sexes, ages and ethnic groups, and children are told "
    "apart worst. Few tables say enough to measure it: that a group is not listed here does "
    "not mean that it is treated like the others.",
    "Intervals say how much a figure would move with other people of the same kind, in the same "
    "gallery. They know nothing of wrong labels, nor of people whom the network was trained on.",
)

MODEL_MADE_AGES: Final = (
    "Some ages here are another model's estimates (age_kind estimated): an age gap between them is "
    "as wrong as they are."
)
SUBJECTS_UNKNOWN: Final = (
    "The table does not say who is on every picture. Pictures that no pair joins then count "
    "as different people, which makes intervals too narrow."
)


_LEAST_FALSE_MATCH = 1e-4


def match_curve(found: Identification) -> Figure:
    """CMC: the share of mates found at each rank or better, with its interval."""
    figure, axes = panels(1)
    panel: Axes = axes[0, 0]
    ranks = list(found.rates)
    rates = list(found.rates.values())
    panel.fill_between(
        ranks, [r.low for r in rates], [r.high for r in rates], color=COLOURS[0], alpha=0.25
    )
    panel.plot(ranks, [r.value for r in rates], "o-", color=COLOURS[0], markersize=4)
    panel.set_xticks(ranks)
    panel.set_xlabel("rank")
    _percent(panel, "found at that rank or better")
    title(panel, f"{len(found.trials):,} searches, {100 * found.resampling.level:g} % intervals")
    return figure


def roc_figure(found: Verification) -> Figure:
    """ROC: true matches against false matches, on an even and on a logarithmic axis."""
    figure, axes = panels(2, size_inches=(9, 4))
    curve = found.roc
    for panel in axes[0]:
        panel.plot(curve.false_match, curve.true_match, color=COLOURS[0], linewidth=1.2)
        panel.set_xlabel("false match rate")
        _percent(panel, "true match rate")
    even, small = axes[0]
    rate = found.equal_error.value
    even.plot([0, 1], [1, 0], color="black", linewidth=0.8, linestyle=":")
    even.plot([rate], [1 - rate], "o", color=COLOURS[1], markersize=5)
    title(even, f"equal error rate {100 * rate:.2f} %, area {found.area.value:.4f}")
    small.set_xscale("log")
    least = max(_LEAST_FALSE_MATCH, 1 / max(int((~found.pairs.same).sum()), 1))
    small.set_xlim(least, 1)
    title(small, "few false matches: left of the axis are too few pairs to say")
    return figure


def gap_figure(rates: Mapping[str, Rate], words: str) -> Figure | str:
    """A rate by band of age gaps, with intervals; a sentence where no age is known."""
    there = {name: rate for name, rate in rates.items() if rate.trials}
    if not there:
        return "No two ages are known, so nothing can be said by age gap."
    figure, axes = panels(1)
    panel: Axes = axes[0, 0]
    values = np.array([rate.value for rate in there.values()])
    ends = np.array([[rate.low, rate.high] for rate in there.values()])
    reach = np.nan_to_num(np.maximum(np.abs(ends.T - values), 0))
    panel.errorbar(range(len(there)), values, yerr=reach, fmt="o", capsize=3, color=COLOURS[0])
    labels = [f"{name}\n{rate.trials:,}" for name, rate in there.items()]
    panel.set_xticks(range(len(there)), labels)
    panel.set_xlim(-0.5, len(there) - 0.5)
    panel.set_xlabel("years between the two pictures; how many trials")
    _percent(panel, words)
    return figure


def _percent(panel: Axes, words: str) -> None:
    panel.set_ylim(-0.02, 1.02)
    panel.set_ylabel(words)
    panel.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))


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
