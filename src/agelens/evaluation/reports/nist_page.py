"""NIST's quantities as a folder: JSON, CSVs, figures and one page."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
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
    NistQuantities,
)
from agelens.evaluation.reports.evaluation_page import ESTIMATED_LABELS
from agelens.evaluation.reports.page import (
    Page,
    Section,
    bootstrap_words,
    row_figure,
    with_interval,
)
from agelens.evaluation.reports.result import Result


def rate_words(row: pd.Series, name: str = "share", prefix: str = "") -> str:
    """A rate with its interval in brackets, out of its row."""
    text = with_interval(row[name], row[f"{prefix}low"], row[f"{prefix}high"], share=True)
    return text or "nobody known"


def error_tables(found: NistQuantities) -> list[tuple[str, pd.DataFrame]]:
    """MAE and bias of each grouping, under its name."""
    return [
        (str(name).replace("_", " "), _error_table(rows))
        for name, rows in found.errors.groupby("grouping", sort=False)
    ]


def _error_table(rows: pd.DataFrame) -> pd.DataFrame:
    mae, bias = (rows[rows["metric"] == name] for name in ("mae", "bias"))
    return pd.DataFrame(
        {
            "group": mae["group"].to_numpy(),
            "samples": mae["samples"].to_numpy(),
            "people": mae["people"].to_numpy(),
            "MAE": [row_figure(row) for _, row in mae.iterrows()],
            "bias": [row_figure(row) for _, row in bias.iterrows()],
            "few": mae["few"].to_numpy(dtype=bool),
        }
    )


def challenge_tables(found: NistQuantities) -> Iterator[tuple[str, pd.DataFrame]]:
    """Both rates of each challenge age, under what they are."""
    for challenge in found.challenges:
        for quantity, words in ((FALSE_POSITIVE, "positives"), (FALSE_NEGATIVE, "negatives")):
            yield (
                f"Challenge {challenge:g}: false {words}",
                _rate_table(found, quantity, f"{challenge:g}"),
            )


def range_tables(found: NistQuantities) -> list[tuple[str, pd.DataFrame]]:
    """Both rates of the room, under what they are."""
    parts = {"True positives": TRUE_POSITIVE, "False positives": RANGE_FALSE_POSITIVE}
    at = str(found.years)
    return [(words, _rate_table(found, quantity, at)) for words, quantity in parts.items()]


def failure_table(found: NistQuantities) -> pd.DataFrame:
    """Failures to process by group and by status."""
    return _rate_table(found, FAILURE, "")


def _rate_table(found: NistQuantities, quantity: str, at: str) -> pd.DataFrame:
    """The rates of all groups but single years, which the figures show."""
    rows = found.rates[(found.rates["quantity"] == quantity) & (found.rates["at"] == at)]
    rows = rows[rows["of"] != "true_year"]
    table = pd.DataFrame(
        {
            "of": rows["of"].str.replace("_", " ").to_numpy(),
            "group": rows["group"].to_numpy(),
            "rate": [rate_words(row) for _, row in rows.iterrows()],
            "samples": rows["samples"].to_numpy(),
            "few": rows["few"].to_numpy(dtype=bool),
        }
    )
    if rows["with_failures"].notna().any():
        texts = [rate_words(row, "with_failures", "with_failures_") for _, row in rows.iterrows()]
        table.insert(3, "with failures", _plain(texts))
    return table


def _plain(texts: Sequence[str]) -> list[str]:
    return ["" if text == "nobody known" else text for text in texts]


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
    "ethnicity": "no ethnicity, so nothing is said by region",
    "inter_eye_px": "no inter_eye_px, so nothing is said by the face's size (agelens predict "
    "writes it)",
    "yaw_degrees": "neither yaw_degrees nor yaw_proxy, so nothing is said by pose (agelens predict "
    "writes both)",
    "milliseconds": "no milliseconds, so nothing is said of time (agelens predict --table measures "
    "it; a chip store has no photos to time)",
}


def nist_sentences(found: NistQuantities) -> list[str]:
    """The headline, both uses, failures and time, as sentences."""
    return [_headline(found), *_uses(found), _failures(found), _time(found), *_missing(found)]


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
    rows: list[tuple[str, object]] = [
        ("rows", counts.rows),
        ("people", counts.people),
        ("failed to process", found.failed),
        ("without age in years", counts.rows - counts.labelled),
        *((f"ages {word}", count) for word, count in counts.age_kinds.items()),
    ]
    return pd.DataFrame(rows, columns=["what", "count"]).astype({"count": object})


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

    def sentences(self) -> list[str]:
        """The headline, both uses, failures and time; and that these are no NIST results."""
        return [*nist_sentences(self.found), LIMITS[0]]

    def to_frame(self) -> pd.DataFrame:
        """Error rates, a row for each quantity and group; `found.errors` has the errors."""
        return self.found.rates

    def frames(self) -> dict[str, pd.DataFrame]:
        """Errors by group, and rates."""
        return {"errors": self.found.errors, "rates": self.found.rates}

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
            "errors": found.errors,
            "rates": found.rates,
        }

    def page(self) -> Page:
        """Limits, the quantities in short, then each with its figure."""
        from agelens.evaluation.reports import nist_figures as draw  # noqa: PLC0415 - matplotlib

        found = self.found
        limits = [*LIMITS, *([ESTIMATED_LABELS] if "estimated" in found.counts.age_kinds else [])]
        by_sex = draw.mae_by_sex_and_age(found)
        challenge = f"Challenge ages at {found.legal_years:g}, by true year"
        room = f"A room for {found.years}"
        by_quality = draw.mae_by_quality(found)
        sections = [
            Section("What this may not be used for", limits),
            Section("In short", nist_sentences(found), [("", _counts(found))]),
            Section.drawn("Mean absolute error by sex and age", "mae_by_sex_and_age", by_sex),
            Section("By sex and age", [_method(found)], error_tables(found)),
            Section.drawn(challenge, "challenge", draw.challenge_by_year(found)),
            Section("Challenge ages", [_CHALLENGE, _GREY], list(challenge_tables(found))),
            Section.drawn(f"{room}, by true year", "range", draw.admitted_by_year(found)),
            Section(room, [_RANGE, _GREY], range_tables(found)),
            Section("Failure to process", [_FAILURE], [("", failure_table(found))]),
            Section.drawn("Mean absolute error by size and pose", "mae_by_quality", by_quality),
        ]
        models = ", ".join(found.models) or "one"
        return Page(f"Age estimation, as NIST reports it: {models}", sections)
