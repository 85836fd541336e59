"""False match rates that were measured, with their thresholds, as a card holds them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from itertools import pairwise
from typing import Any, Final

from agelens.errors import CardError, UsageError
from agelens.recognition.extractors.network import Extractor


@dataclass(frozen=True, slots=True)
class MeasuredRate:
    """One threshold and what it was measured to do.

    Two faces are called the same where their cosine similarity is at least `threshold`.
    `measured` is the share of pairs of different people that are, with its 95 % interval
    `low` to `high`; `high` is at most `false_match_rate`, which is what is promised.
    `true_match_rate` is the share of pairs of one person that are, `true_low` to `true_high` its
    interval; None where it was not measured. By age (`AgeRates`) `low` to `high` is where the
    rate lies among people that the threshold was not measured on, and `high` may be above what
    is promised: so few children cannot promise more.
    """

    false_match_rate: float
    threshold: float
    measured: float
    low: float
    high: float
    true_match_rate: float | None
    true_low: float | None = None
    true_high: float | None = None

    @property
    def tells_apart(self) -> bool:
        """Whether at least half of the pairs of one person are called the same.

        Where fewer are, a similarity below the threshold says nothing.
        """
        return self.true_match_rate is not None and self.true_match_rate >= LEAST_TRUE_MATCHES


LEAST_TRUE_MATCHES: Final = 0.5
YOUNGEST: Final = (0, 6, 13, 18)
"""Where the bands of the younger face's age begin, in years."""
GAPS: Final = (0, 5, 10, 20)
"""Where the bands of the years between two faces begin."""


def band_names(starts: Sequence[int]) -> tuple[str, ...]:
    """As ``0-5`` and ``18+``."""
    ends = [f"{start}-{after - 1}" for start, after in pairwise(starts)]
    return (*ends, f"{starts[-1]}+")


def band_of(years: float, starts: Sequence[int]) -> str:
    """The name of the band that holds `years`."""
    return band_names(starts)[sum(years >= start for start in starts[1:])]


@dataclass(frozen=True, slots=True)
class AgeRates:
    """What was measured on pairs of certain ages, `rates` from the largest to the smallest.

    Args:
        youngest: band of the younger face's age, as a model estimates it.
        gap: band of the years between both faces.
        dataset: that on which strangers are most alike at these ages.
        people: with photos of such ages.
        different_pairs: of photos of different people.
        same_pairs: of photos of one person.
        same_people: whose `same_pairs` are.
        rates: see `MeasuredRate`.
    """

    youngest: str
    gap: str
    dataset: str
    people: int
    different_pairs: int
    same_pairs: int
    same_people: int
    rates: tuple[MeasuredRate, ...]

    def at(self, false_match_rate: float) -> MeasuredRate | None:
        """The largest measured rate that is not above `false_match_rate`; None without one."""
        return next((r for r in self.rates if r.false_match_rate <= false_match_rate), None)

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> AgeRates:
        """The rates of a card's cell.

        Raises:
            KeyError, TypeError: it is malformed.
        """
        stated = {one.name: document[one.name] for one in fields(cls)}
        return cls(**stated | {"rates": _falling(stated["rates"])})


def _falling(stated: Sequence[Mapping[str, Any]]) -> tuple[MeasuredRate, ...]:
    rates = [MeasuredRate(**rate) for rate in stated]
    return tuple(sorted(rates, key=lambda rate: -rate.false_match_rate))


@dataclass(frozen=True, slots=True)
class MeasuredRates:
    """What was measured on one set of faces, `rates` from the largest to the smallest.

    `different_pairs` and `same_pairs` are all pairs of photos of different people and of one
    person among `photos` photos of `people` people. `by_age` has what holds at certain ages, where
    that was measured.
    """

    dataset: str
    people: int
    photos: int
    different_pairs: int
    same_pairs: int
    rates: tuple[MeasuredRate, ...]
    by_age: tuple[AgeRates, ...] = ()

    def at_ages(self, first_years: float, second_years: float) -> AgeRates | None:
        """What was measured at these two ages, None where nothing was."""
        younger, older = sorted((first_years, second_years))
        wanted = (band_of(younger, YOUNGEST), band_of(older - younger, GAPS))
        return next((one for one in self.by_age if (one.youngest, one.gap) == wanted), None)

    def at(self, false_match_rate: float) -> MeasuredRate:
        """The measured rate that keeps `false_match_rate`: the largest one not above it.

        Raises:
            UsageError: the rate is not between 0 and 1, or smaller than what these pairs can
                promise; the message names the smallest.
        """
        if not 0 < false_match_rate < 1:
            raise UsageError(f"a false match rate is between 0 and 1, got {false_match_rate}")
        kept = [rate for rate in self.rates if rate.false_match_rate <= false_match_rate]
        if not kept:
            smallest = f"{self.rates[-1].false_match_rate:g}" if self.rates else "none"
            raise UsageError(
                f"a false match rate of {false_match_rate:g} cannot be promised: the "
                f"{self.different_pairs:,} pairs of {self.people:,} people of {self.dataset} on "
                f"which it rests are too few. The smallest measured rate is {smallest}"
            )
        return kept[0]

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> MeasuredRates:
        """The rates that a card states; further keys are for people.

        Raises:
            KeyError, TypeError: it is malformed.
        """
        names = [one.name for one in fields(cls) if one.name != "by_age"]
        stated = {name: document[name] for name in names}
        by_age = tuple(AgeRates.from_json(one) for one in document.get("by_age", ()))
        return cls(**stated | {"rates": _falling(stated["rates"]), "by_age": by_age})


@dataclass(frozen=True, slots=True)
class Decision:
    """Whether two faces are called the same person, and the rate that this rests on.

    `same_person` is None where it cannot be told: fewer than half of one person's pairs are
    called the same at these ages, so that an unlike pair says nothing. `rate` is None where no
    rate so small could be measured at these ages; `ages` is None where nothing was by age.
    """

    same_person: bool | None
    rate: MeasuredRate | None
    ages: AgeRates | None

    @property
    def words(self) -> str:
        """As ``not the same person``."""
        return {True: "the same person", False: "not the same person", None: "cannot tell"}[
            self.same_person
        ]


def decision_words(
    decision: Decision, rates: MeasuredRates, similarity: float, asked: float
) -> list[str]:
    """The decision in words, and what it rests on.

    Args:
        decision: of `decide`.
        rates: those that it was taken by.
        similarity: cosine of both embeddings.
        asked: the false match rate that was asked for.
    """
    rate, ages = decision.rate, decision.ages
    if rate is None:
        assert ages is not None  # noqa: S101 - without ages there is a rate, or it was refused
        return [
            f"similarity {similarity:.3f}: cannot tell at a false match rate of {asked:g}",
            f"{_at(ages)}: the {ages.different_pairs:,} pairs of {ages.people} strangers of "
            f"{ages.dataset} are too few for it. The smallest rate measured at these ages is "
            f"{ages.rates[-1].false_match_rate:g}. {_NO_PROOF}",
        ]
    called = "cannot tell" if decision.same_person is None else f"called {decision.words}"
    first = (
        f"similarity {similarity:.3f}, threshold {rate.threshold:.3f}: {called} "
        f"at a false match rate of {rate.false_match_rate:g}"
    )
    true = "an unknown share" if rate.true_match_rate is None else f"{rate.true_match_rate:.1%}"
    if ages is None:
        return [
            first,
            f"measured on {rates.different_pairs:,} pairs of {rates.people:,} strangers of "
            f"{rates.dataset}; of pairs of one person {true} are called the same. Relatives, "
            f"children, and people of one group are confused more often. {_NO_PROOF}",
        ]
    interval = (
        "" if rate.true_low is None else f" ({rate.true_low:.1%} to {rate.true_high or 0:.1%})"
    )
    lines = [
        first,
        f"{_at(ages)}: of {ages.different_pairs:,} pairs of {ages.people} strangers of "
        f"{ages.dataset} {rate.measured:.2%} are called the same ({rate.low:.2%} to "
        f"{rate.high:.2%} among other people), of {ages.same_pairs:,} pairs of one person "
        f"{true}{interval}. Relatives and people of one group are confused more often. {_NO_PROOF}",
    ]
    if decision.same_person is None:
        lines.insert(
            1, "most photos of one person at such ages are called different too: a no says nothing"
        )
    return lines


_NO_PROOF: Final = "No proof of identity."


def _at(ages: AgeRates) -> str:
    return f"measured where the younger looks {ages.youngest} and {ages.gap} years lie between"


def decide(
    rates: MeasuredRates, false_match_rate: float, similarity: float, years: tuple[float, float]
) -> Decision:
    """What two faces of such a similarity and of such estimated ages are called.

    Args:
        rates: of the extractor.
        false_match_rate: of pairs of different people of such ages who may be called the same.
        similarity: cosine of both embeddings.
        years: how old both look.

    Raises:
        UsageError: see `MeasuredRates.at`.
    """
    overall = rates.at(false_match_rate)
    ages = rates.at_ages(*years)
    if ages is None:
        return Decision(similarity >= overall.threshold, overall, None)
    rate = ages.at(false_match_rate)
    if rate is None:
        return Decision(None, None, ages)
    if similarity >= rate.threshold:
        return Decision(True, rate, ages)
    return Decision(False if rate.tells_apart else None, rate, ages)


def rates_of(extractor: Extractor) -> MeasuredRates:
    """What the card of `extractor` states for its crops.

    Raises:
        CardError: it states nothing, so that nobody knows what a similarity means; or what it
            states is malformed.
    """
    section = extractor.document.get("verification") or {}
    crops, name = extractor.model.crops, extractor.model.name
    if crops not in section:
        raise CardError(
            f"{name}: its card has no false match rates measured with {crops} crops, so there is "
            "no threshold to decide by. Measure them on people it was not trained on (agelens "
            "identity add FOLDER --name NAME --measure TABLE), or use a model that has "
            "them (dlib-resnet29, single)"
        )
    try:
        return MeasuredRates.from_json(section[crops])
    except (KeyError, TypeError, ValueError) as error:
        raise CardError(f"{name}: `verification` of its card is malformed: {error!r}") from error
