"""NIST's quantities as a folder: JSON, CSVs, figures and one page."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, ClassVar, Final

import pandas as pd

from agelens.evaluation.groups import FEW
from agelens.evaluation.nist_errors import AGE_BANDS, CELLS
from agelens.evaluation.nist_quantities import (
    FAILURE,
    FALSE_NEGATIVE,
    FALSE_POSITIVE,
    RANGE_FALSE_POSITIVE,
    TRUE_POSITIVE,
    FrameSpread,
    NistQuantities,
)
from agelens.evaluation.reports.evaluation_page import ESTIMATED_LABELS, counted
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
from agelens.evaluation.table_checks import people_words


def error_tables(found: NistQuantities) -> list[tuple[str, pd.DataFrame]]:
    """MAE and bias of each grouping, under its name."""
    tables = []
    for name, rows in found.errors.groupby("grouping", sort=False):
        mae, bias = (rows[rows["metric"] == metric] for metric in ("mae", "bias"))
        counts = mae[["group", "samples", *(["people"] if found.counts.named else [])]]
        table = counts.reset_index(drop=True).assign(MAE=in_words(mae), bias=in_words(bias))
        few = mae["few"].to_numpy(dtype=bool)
        tables.append((str(name).replace("_", " "), table.assign(few=few)))
    return tables


def challenge_tables(found: NistQuantities) -> Iterator[tuple[str, pd.DataFrame]]:
    """Both rates of each challenge age, under what they are."""
    for challenge in found.challenges:
        for quantity, words in ((FALSE_POSITIVE, "positives"), (FALSE_NEGATIVE, "negatives")):
            table = rate_table(found, quantity, f"{challenge:g}")
            yield f"Challenge {challenge:g}: false {words}", table


def rate_table(found: NistQuantities, quantity: str, at: str = "") -> pd.DataFrame:
    """The rates of all groups but single years, which the figures show."""
    rows = found.rates[(found.rates["quantity"] == quantity) & (found.rates["at"] == at)]
    rows = rows[rows["of"] != "true_year"].reset_index(drop=True)
    table = rows[["group", "samples", "few"]].assign(of=rows["of"].str.replace("_", " "))
    table["rate"] = [text or _NOBODY for text in in_words(rows, "share", share=True)]
    columns = ["of", "group", "rate", "samples", "few"]
    if rows["with_failures"].notna().any():
        table["with failures"] = in_words(rows, "with_failures", "with_failures_", share=True)
        columns.insert(3, "with failures")
    return table[columns]


_NOBODY: Final = "nobody known"


def rate_words(row: pd.Series) -> str:
    """A rate with its interval in brackets, out of its row."""
    (text,) = in_words(row.to_frame().T, "share", share=True)
    return text or _NOBODY


LIMITS: Final = (
    "These are the quantities of NIST's FATE AEV report (IR 8525) on the reader's own photos. They "
    "are no NIST results, and NIST has no part in them: NIST's photos are others, so that its "
    "figures and these compare photos as much as estimators.",
    "An age estimate is no proof of age. A challenge age says whom not to ask, never whom to "
    "refuse: whoever does not pass must be able to show their age another way.",
    "The rates hold for people like those in the table, in its mix of ages: compare tables by true "
    "year. They hold for nobody who tries to look older.",
)
_ABSENT: Final = {
    "gender": "no gender, so nothing is said by sex, and there is no headline figure",
    "ethnicity": "no ethnicity, so nothing is said by it",
    "region": "no region (of birth), so nothing is said by region",
    "inter_eye_px": "no inter_eye_px, so nothing is said by the face's size (agelens predict "
    "writes it)",
    "yaw_degrees": "neither yaw_degrees nor yaw_proxy, so nothing is said by pose (agelens predict "
    "writes both)",
    "milliseconds": "no milliseconds, so nothing is said of time (agelens predict --table measures "
    "it; a chip store has no photos to time)",
}


def nist_sentences(found: NistQuantities) -> list[str]:
    """The headline, both uses, failures and time, as sentences."""
    frames = [] if found.frames is None else [_frames(found.frames)]
    told = [_headline(found), *_uses(found), _equal_errors(found), *frames]
    return [*told, _failures(found), _time(found), *_missing(found)]


def _equal_errors(found: NistQuantities) -> str:
    """Where the two errors of the score curve meet."""
    curve = found.score_curve.dropna(subset=["false_positive", "false_negative"])
    if not len(curve):
        return f"Score curve: nobody known on one side of {found.legal_years:g}."
    row = curve.iloc[(curve["false_positive"] - curve["false_negative"]).abs().argmin()]
    return (
        f"Score curve: taking those estimated at {row['threshold_years']:g} or more for over "
        f"{found.legal_years:g}, {100 * row['false_positive']:.1f} % of those under it and "
        f"{100 * row['false_negative']:.1f} % of the others are wrong; score_curve.csv has all "
        "thresholds."
    )


def _frames(one: FrameSpread) -> str:
    spread = with_interval(one.deviation_years, one.low, one.high)
    return (
        f"Frames: a person's estimates lie {spread} years from their own mean on average, over "
        f"{one.people:,} people, and below {one.ninetieth:.2f} for nine of ten; "
        f"{100 * one.without_estimate.share:.1f} % of {one.frames:,} frames have no estimate."
    )


_GREY: Final = f"Grey: fewer than {FEW} samples. Rates by true year are in rates.csv."
_CHALLENGE: Final = (
    "False positive: somebody under the legal age who looks of the challenge age or older, and "
    "passes. False negative: somebody old enough who is asked. With failures: those old enough "
    "who get no estimate are asked as well."
)
_RANGE: Final = (
    "True positive: somebody of these years who is estimated to be of them. False positive: "
    "anybody else who is. With failures: those of these years who get no estimate are not admitted."
)
_FAILURE: Final = (
    "Rows of another status than ok, of all rows. Errors and rates are of the others, unless they "
    "say with failures."
)


def _method(found: NistQuantities) -> str:
    how = found.resampling
    if not how.draws:
        return "No intervals of errors were asked for. Bias is estimate less age."
    return (
        f"{bootstrap_words(how.level, how.draws, how.seed)} Bias is estimate less age. Grey: fewer "
        f"than {FEW} samples. Of rates, the interval is Korn and Graubard's, at the same level."
    )


def _counts(found: NistQuantities) -> pd.DataFrame:
    counts = found.counts
    return counted(
        {
            "rows": counts.rows,
            "people": people_words(counts),
            "failed to process": found.failed,
            "without age in years": counts.rows - counts.labelled,
            **{f"ages {word}": count for word, count in counts.age_kinds.items()},
        }
    )


def _cards(found: NistQuantities) -> Iterator[Card]:
    one = found.headline
    if one.cells:
        figure = with_interval(one.value, one.low, one.high)
        yield Card.of("headline MAE, 18 to 30, years", figure)
    for challenge in found.challenges:
        rate = rate_words(_everybody(found, FALSE_POSITIVE, f"{challenge:g}"))
        yield Card.of(f"under {found.legal_years:g}, look {challenge:g} or more", rate)


def _headline(found: NistQuantities) -> str:
    one = found.headline
    if not one.cells:
        return "Headline: nobody of known sex is 18 to 30, so there is none."
    figure = with_interval(one.value, one.low, one.high)
    text = (
        f"Headline: MAE {figure} years, the mean of {one.cells} of {CELLS} cells of sex and age "
        f"from 18 to 30 ({one.samples:,} samples)"
    )
    if one.cells < CELLS:
        text += "; with cells empty it compares with no other table's"
    return text + (f"; {one.few_cells} cells have under {FEW} samples." if one.few_cells else ".")


def _uses(found: NistQuantities) -> Iterator[str]:
    legal = found.legal_years
    for challenge in found.challenges:
        rows = _everybody(found, FALSE_POSITIVE, f"{challenge:g}")
        others = _everybody(found, FALSE_NEGATIVE, f"{challenge:g}")
        near = _near(found, challenge)
        yield (
            f"Challenge {challenge:g}: {rate_words(rows)} of those under {legal:g} pass"
            + (f" ({rate_words(near)} of those {near['group']})" if near is not None else "")
            + f", and {rate_words(others)} of those older are asked."
        )
    inside = _everybody(found, TRUE_POSITIVE, str(found.years))
    outside = _everybody(found, RANGE_FALSE_POSITIVE, str(found.years))
    admitted = f"{rate_words(inside)} of these, and {rate_words(outside)} of others"
    yield f"A room for {found.years} admits {admitted}."


def _near(found: NistQuantities, challenge: float) -> pd.Series | None:
    """The rate of those just below the legal age; None where nobody is."""
    rates = found.rates
    rows = rates[(rates["quantity"] == FALSE_POSITIVE) & (rates["at"] == f"{challenge:g}")]
    rows = rows[rows["of"] == "age"]
    return rows.iloc[-1] if len(rows) and not rows.iloc[-1]["group"].startswith("0-") else None


def _failures(found: NistQuantities) -> str:
    share = rate_words(_everybody(found, FAILURE, ""))
    return f"Failure to process: {share} of {found.counts.rows:,}."


def _time(found: NistQuantities) -> str:
    time = found.time
    if not time.photos:
        return "Time per photo: not measured."
    return (
        f"Time per photo: median {time.median:.0f} ms, 90th percentile {time.ninetieth:.0f} ms, of "
        f"{time.photos:,} photos, as long as the machine was shared as it was."
    )


def _missing(found: NistQuantities) -> list[str]:
    return [f"The table has {_ABSENT[name]}." for name in found.absent]


def _everybody(found: NistQuantities, quantity: str, at: str) -> pd.Series:
    rates = found.rates
    rows = (rates["quantity"] == quantity) & (rates["at"] == at) & (rates["of"] == "everybody")
    return rates[rows].iloc[0]


@dataclass(frozen=True, eq=False, repr=False)
class NistReport(Result):
    """What `agelens.evaluation.nist` hands back."""

    kind: ClassVar[str] = "nist"
    found: NistQuantities
    notes: Sequence[str] = ()

    def sentences(self) -> list[str]:
        """The headline, both uses, failures and time; and that these are no NIST results."""
        return [*nist_sentences(self.found), *self.notes, LIMITS[0]]

    def to_frame(self) -> pd.DataFrame:
        """Error rates, a row for each quantity and group; `found.errors` has the errors."""
        return self.found.rates

    def frames(self) -> dict[str, pd.DataFrame]:
        """Errors by group, rates, and both errors along all thresholds."""
        found = self.found
        return {"errors": found.errors, "rates": found.rates, "score_curve": found.score_curve}

    def document(self) -> dict[str, Any]:
        """All quantities, settings and counts."""
        found = self.found
        return {
            "not_by_nist": LIMITS[0],
            "models": found.models,
            "legal_years": found.legal_years,
            "challenge_years": found.challenges,
            "range_years": [found.years.first, found.years.last],
            "age_bands_from": AGE_BANDS,
            "bootstrap": found.resampling,
            "counts": asdict(found.counts) | {"failed_to_process": found.failed},
            "headline_mae": found.headline,
            "milliseconds": found.time,
            "columns_not_there": found.absent,
            "frames": found.frames,
            "errors": found.errors,
            "rates": found.rates,
            "score_curve": found.score_curve,
        }

    def page(self) -> Page:
        """Limits, the quantities in short, then each with its figure."""
        from agelens.evaluation.reports import nist_figures as draw  # noqa: PLC0415 - matplotlib

        found = self.found
        estimated = [ESTIMATED_LABELS] if "estimated" in found.counts.age_kinds else []
        drawn = {
            title: Section.drawn(title, lines, **{name: figure})
            for title, lines, name, figure in (
                (_BY_SEX, [_method(found)], "mae_by_sex_and_age", draw.mae_by_sex_and_age(found)),
                (_CHALLENGES, [_CHALLENGE, _GREY], "challenge", draw.challenge_by_year(found)),
                (_CURVE, [_SCORES], "score_curve", _score_curve(found)),
                (_ROOM, [_RANGE, _GREY], "range", draw.admitted_by_year(found)),
                (_QUALITY, [], "mae_by_quality", draw.mae_by_quality(found)),
            )
        }
        tables = {
            _BY_SEX: error_tables(found),
            _CHALLENGES: list(challenge_tables(found)),
            _ROOM: [
                ("True positives", rate_table(found, TRUE_POSITIVE, str(found.years))),
                ("False positives", rate_table(found, RANGE_FALSE_POSITIVE, str(found.years))),
            ],
        }
        first, second, *others = nist_sentences(found)
        sections = [Section("In short", others, warning=LIMITS[0])]
        sections += [replace(one, tables=tables.get(name, ())) for name, one in drawn.items()]
        failures = [("", rate_table(found, FAILURE))]
        sections += [
            Section("Failure to process", [_FAILURE], failures),
            Section("What was measured", tables=[("", _counts(found))]),
            Section(NOT_FIT, [*LIMITS[1:], *estimated]),
        ]
        models = ", ".join(found.models) or "one"
        title = f"Age estimation, as NIST reports it: {models}"
        return Page(title, sections, [first, second], list(_cards(found)))


_BY_SEX: Final = "Error by sex and age"
_CHALLENGES: Final = "Challenge ages"
_CURVE: Final = "Both errors by threshold"
_SCORES: Final = (
    "Whoever is estimated at the threshold or more is taken for old enough: how many are taken so "
    "wrongly on either side. Dotted: the legal age."
)


def _score_curve(found: NistQuantities) -> Any:
    from agelens.evaluation.reports.nist_figures import rate_curves  # noqa: PLC0415 - matplotlib

    legal = found.legal_years
    sides = {
        "false_positive": f"under {legal:g}, taken for older",
        "false_negative": f"{legal:g} or older, taken for younger",
    }
    return rate_curves(found.score_curve, "threshold_years", sides, [legal])


_ROOM: Final = "A room for people of some years"
_QUALITY: Final = "Error by size and pose"
