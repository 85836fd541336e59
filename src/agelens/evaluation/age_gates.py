"""The challenge age that keeps false accepts below a limit, and what it costs adults.

A false accept is somebody younger than the legal age who passes; a false reject is somebody
old enough who does not. One without the other says nothing, so both are always given.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from agelens.errors import UsageError
from agelens.evaluation.bootstrap.groupings import Codes, person_codes
from agelens.evaluation.groups import FEW, group_words
from agelens.evaluation.rates import Rate, rate, samples_needed
from agelens.inference.age_gates import AgeGate
from agelens.records import Floats
from agelens.tables import PredictionsTable

STEP_YEARS: Final = 0.5
NEAR_YEARS: Final = 5.0
"""How far below the legal age people are counted by default."""
YOUNG: Final = "younger than counted"
_ALL: Final = slice(None)


@dataclass(frozen=True, slots=True)
class GateRates:
    """Both error rates of a gate for some of the people: `group` says whom."""

    group: str
    false_accept: Rate
    false_reject: Rate

    @property
    def few(self) -> bool:
        """Whether one of the rates stands on fewer than 30 samples (but more than none)."""
        return any(0 < r.samples < FEW for r in (self.false_accept, self.false_reject))


@dataclass(frozen=True, slots=True)
class GateFinding:
    """What the data say about a gate.

    `gate` is None where the data are too few to promise the limit at any challenge age;
    `needed` is then how many people under the legal age it takes at least, without one error.
    `counted` and `left_out` are numbers of samples: those without estimate, or without age, or
    younger than `youngest_years`. `mix` counts those under the legal age by true year: the promise
    is of people mixed like them. `curve` has both rates at challenge ages from the legal one up by
    half years, `group` being the challenge age.
    `unnamed` counts the samples of whom nobody says who they are, each taken for a person of its
    own; `estimated_labels` says that some of the ages are themselves estimates.
    """

    legal_years: float
    limit: float
    confidence: float
    gate: AgeGate | None
    overall: GateRates | None
    by_year: tuple[GateRates, ...]
    by_group: Mapping[str, tuple[GateRates, ...]]
    minors: int
    needed: int
    counted: int
    left_out: Mapping[str, int]
    youngest_years: float
    mix: Mapping[str, int]
    curve: tuple[GateRates, ...]
    unnamed: int = 0
    estimated_labels: bool = False

    @property
    def promised(self) -> bool:
        """Whether the limit holds with the stated confidence at the challenge age found."""
        return self.gate is not None


def find_challenge_age(
    predictions: PredictionsTable,
    *,
    legal_years: float,
    max_false_accept: float,
    confidence: float = 0.95,
    youngest_years: float | None = None,
    groups: tuple[str, ...] = ("gender", "ethnicity"),
) -> GateFinding:
    """The lowest challenge age whose false accepts stay below a limit with confidence.

    Challenge ages are tried from the highest estimate downwards by half years, each by the
    upper bound of its false accept rate (see `rate`), until one fails; by this fixed order
    the promise holds for the age that is kept without any correction for having tried many.
    It holds for people like those in the table, in its mix of ages, and for groups only
    where their own bound says so.

    Args:
        predictions: with real or apparent ages; one model's.
        legal_years: the legal age.
        max_false_accept: highest accepted share of people under the legal age who pass.
        confidence: of the promise.
        youngest_years: people younger than this are not counted: small children are never
            mistaken for adults, and hide the rate of those of 16 and 17. Five years below the
            legal age unless given; 0 counts everybody.
        groups: columns to show both rates by, see `agelens.evaluation.groups`.

    Raises:
        UnknownNameError: there is no such column.
        UsageError: nobody in the table is under the legal age, or nobody is old enough; or
            a number is out of range.
    """
    if not 0 < max_false_accept < 1 or not 0.5 < confidence < 1:
        raise UsageError(
            "a false accept rate lies between 0 and 1 and a confidence between 0.5 and 1, got "
            f"{max_false_accept} and {confidence}"
        )
    if youngest_years is None:
        youngest_years = max(legal_years - NEAR_YEARS, 0.0)
    for what, years in (("legal", legal_years), ("youngest counted", youngest_years)):
        if not 0 <= years < np.inf:
            raise UsageError(f"the {what} age is a number of years from 0 up, got {years:g}")
    words = {name: group_words(predictions.frame, name) for name in groups}
    frame, left_out = _usable(predictions.frame, youngest_years)
    if not len(frame):
        raise UsageError(
            f"none of the {len(predictions.frame)} rows can be counted: {_spelled(left_out)}"
            f"{_who_is_left_out(left_out)}"
        )
    minor = (frame["age_years"] < legal_years).to_numpy()
    if not minor.any() or minor.all():
        lacking = "is under" if not minor.any() else "has reached"
        raise UsageError(
            f"nobody of the {len(frame)} people in the table {lacking} the legal age of "
            f"{legal_years:g}, so that error rates there are unknown; measure on people of "
            f"both sides of the gate{_who_is_left_out(left_out)}"
        )
    level = 2 * confidence - 1  # a two-sided interval whose upper end is one-sided `confidence`
    counted = _Counted(minor, frame["estimate_years"].to_numpy(), person_codes(frame), level)
    challenge = lowest_challenge(
        counted.estimates[minor],
        counted.people[minor],
        legal_years=legal_years,
        limit=max_false_accept,
        level=level,
    )
    needed = samples_needed(max_false_accept, level=confidence)
    gate = None if challenge is None else AgeGate(legal_years, challenge)
    finding = (legal_years, max_false_accept, confidence, gate)
    estimated = bool((predictions.frame["age_kind"] == "estimated").any())
    years = np.floor(frame["age_years"])
    counts: dict[str, Any] = {
        "minors": int(minor.sum()),
        "needed": needed,
        "counted": len(frame),
        "left_out": left_out,
        "youngest_years": youngest_years,
        "mix": {
            f"{year:g}": int(n) for year, n in years[minor].value_counts().sort_index().items()
        },
        "curve": _curve(counted, legal_years),
        "unnamed": int(frame["subject"].isna().sum()),
        "estimated_labels": estimated,
    }
    if gate is None:
        return GateFinding(*finding, None, (), {}, **counts)
    words = {name: column.loc[frame.index] for name, column in words.items()}
    by_group = {n: _by(counted, w, gate) for n, w in words.items() if w.notna().any()}
    overall = counted.rates("all", gate.challenge_years)
    by_year = _by(counted, years, gate)
    return GateFinding(*finding, overall, by_year, by_group, **counts)


def _usable(frame: pd.DataFrame, youngest: float) -> tuple[pd.DataFrame, dict[str, int]]:
    """Rows with estimate and age; how many are left out for which reason."""
    no_age = frame["age_years"].isna()
    no_estimate = frame["estimate_years"].isna() & ~no_age
    young = ~no_age & ~no_estimate & (frame["age_years"] < youngest)
    reasons = {"no age": no_age, "no estimate": no_estimate, YOUNG: young}
    left_out = {why: int(rows.sum()) for why, rows in reasons.items() if rows.any()}
    return frame[~(no_age | no_estimate | young)], left_out


def _spelled(left_out: Mapping[str, int]) -> str:
    return ", ".join(f"{rows:,} {why}" for why, rows in left_out.items()) or "there are none"


def lowest_challenge(
    estimates: Floats, people: Codes, *, legal_years: float, limit: float, level: float
) -> float | None:
    """The search of `find_challenge_age`, on the `estimates` [N] of those under the legal age.

    Args:
        estimates: in years.
        people: [N] whom each sample shows.
        legal_years: the lowest challenge age that is tried.
        limit: of the false accept rate.
        level: two-sided, of the interval whose upper end must not exceed the limit.
    """
    highest = max(legal_years, np.ceil(estimates.max() / STEP_YEARS) * STEP_YEARS + STEP_YEARS)
    kept = None
    for challenge in np.arange(highest, legal_years - STEP_YEARS / 2, -STEP_YEARS):
        if rate(estimates >= challenge, people, level=level).high > limit:
            break
        kept = float(challenge)
    return kept


@dataclass(frozen=True, slots=True, eq=False)
class _Counted:
    """N samples: whether under the legal age, the estimate, the person; `level` of intervals."""

    minor: NDArray[np.bool_]
    estimates: Floats
    people: Codes
    level: float

    def rates(self, group: str, challenge: float, rows: NDArray[Any] | slice = _ALL) -> GateRates:
        """Both rates of some rows at a challenge age."""
        minor, people = self.minor[rows], self.people[rows]
        passes = self.estimates[rows] >= challenge
        return GateRates(
            group,
            rate(passes[minor], people[minor], level=self.level),
            rate(~passes[~minor], people[~minor], level=self.level),
        )


def _curve(counted: _Counted, legal: float) -> tuple[GateRates, ...]:
    """Both rates at each challenge age, up to where nobody under the legal age passes."""
    highest = max(legal, float(counted.estimates[counted.minor].max())) + 2 * STEP_YEARS
    challenges = np.arange(legal, highest, STEP_YEARS).tolist()
    return tuple(counted.rates(f"{one:g}", one) for one in challenges)


def _who_is_left_out(left_out: Mapping[str, int]) -> str:
    if YOUNG not in left_out:
        return ""
    return f"; {left_out[YOUNG]:,} younger ones were left out, which --from-age 0 counts"


def _by(counted: _Counted, values: pd.Series, gate: AgeGate) -> tuple[GateRates, ...]:
    places = pd.Series(np.arange(len(values)), index=values.index)
    parts = places.groupby(values, observed=True, sort=True)
    return tuple(
        counted.rates(
            f"{v:g}" if isinstance(v, float) else str(v), gate.challenge_years, part.to_numpy()
        )
        for v, part in parts
    )
