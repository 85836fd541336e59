"""False match rates that were measured, with their thresholds, as a card holds them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from agelens.errors import CardError, UsageError
from agelens.recognition.extractors.network import Extractor


@dataclass(frozen=True, slots=True)
class MeasuredRate:
    """One threshold and what it was measured to do.

    Two faces are called the same where their cosine similarity is at least `threshold`.
    `measured` is the share of pairs of different people that are, with its 95 % interval
    `low` to `high`; `high` is at most `false_match_rate`, which is what is promised.
    `true_match_rate` is the share of pairs of one person that are.
    """

    false_match_rate: float
    threshold: float
    measured: float
    low: float
    high: float
    true_match_rate: float


@dataclass(frozen=True, slots=True)
class MeasuredRates:
    """What was measured on one set of faces, `rates` from the largest to the smallest.

    `different_pairs` and `same_pairs` are all pairs of photos of different people and of one
    person among `photos` photos of `people` people.
    """

    dataset: str
    people: int
    photos: int
    different_pairs: int
    same_pairs: int
    rates: tuple[MeasuredRate, ...]

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

    def smallest_at(self, similarity: float) -> float | None:
        """The smallest measured rate at which `similarity` is still called the same person."""
        matched = [r.false_match_rate for r in self.rates if similarity >= r.threshold]
        return min(matched, default=None)

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> MeasuredRates:
        """The rates that a card states; further keys are for people.

        Raises:
            KeyError, TypeError: it is malformed.
        """
        stated = {one.name: document[one.name] for one in fields(cls)}
        rates = [MeasuredRate(**rate) for rate in stated["rates"]]
        rates.sort(key=lambda rate: -rate.false_match_rate)
        return cls(**stated | {"rates": tuple(rates)})


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
            "no threshold to decide by. Measure them on pairs of people it was not trained on "
            "(docs/recognise.md), or use a model that has them (dlib-resnet29, single)"
        )
    try:
        return MeasuredRates.from_json(section[crops])
    except (KeyError, TypeError, ValueError) as error:
        raise CardError(f"{name}: `verification` of its card is malformed: {error!r}") from error
