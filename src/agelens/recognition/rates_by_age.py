"""Thresholds that hold at certain ages: of two children far more strangers look alike.

Pairs are put into cells by how old the younger face looks and by how many years lie between both.
Every set of faces is measured by itself, and a cell takes its rates from the set on which
strangers are more alike: what it promises holds on the others all the more.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from agelens.errors import TableError
from agelens.recognition.embedding_table import EmbeddingTable
from agelens.recognition.measured_rates import (
    GAPS,
    YOUNGEST,
    AgeRates,
    MeasuredRate,
    band_names,
)
from agelens.recognition.measuring_rates import RATES, pairs_of_rows, subject_codes
from agelens.records import Floats

_DECIDES: Final = 0.001
"""At this rate the sets are compared, and the one with the higher threshold is taken."""
_MOST: Final = 0.01
_LEAST_PEOPLE: Final = 10
_COUNTED: Final = 100
"""Pairs beyond a threshold that let it be counted; fewer, and the tail's shape is used too."""
_TAIL: Final = 0.05
_MOST_KEPT: Final = 200_000
_TENTHS: Final = 10
_LEVEL: Final = (0.025, 0.975)


@dataclass(frozen=True, slots=True, eq=False)
class Faces:
    """Faces of people with ages: `vectors` [N, D], `people` [N] from 0, `tenths` [N] of a year."""

    vectors: NDArray[np.float32]
    people: NDArray[np.int64]
    tenths: NDArray[np.int64]

    @classmethod
    def of(cls, table: EmbeddingTable) -> Faces:
        """The rows with an embedding and an age.

        Raises:
            TableError: a row has no subject, or none has an age.
        """
        there = table.take(table.has_embedding & table.frame["age_years"].notna().to_numpy())
        if not len(there):
            raise TableError(
                "rates by age need ages as a model sees them; add them to the sample table before "
                "embedding it (agelens data label --replace)"
            )
        ages = there.frame["age_years"].to_numpy(dtype=np.float64)
        return cls(there.vectors, subject_codes(there), np.floor(ages * _TENTHS).astype(np.int64))


@dataclass(frozen=True, slots=True, eq=False)
class Cell:
    """The pairs of certain ages.

    `alike` [M] are the likest pairs of different people, falling, `who` [M, 2] their people, the
    one who looks younger first;
    `ages` [T, T] says which two ages in tenths of a year are of this cell; `same` [S] the
    similarities of pairs of one person, and `same_who` [S] whose they are.
    """

    alike: NDArray[np.float32]
    who: NDArray[np.int64]
    ages: Floats
    same: NDArray[np.float32]
    same_who: NDArray[np.int64]

    def pairs(self, weights: Floats, faces: Faces) -> float:
        """Pairs of different people, each as often as its people's `weights` [P] say."""
        of_age = np.bincount(faces.tenths, weights[faces.people], minlength=len(self.ages))
        itself = np.bincount(faces.tenths, weights[faces.people] ** 2, minlength=len(self.ages))
        everything = of_age @ self.ages @ of_age - itself @ np.diag(self.ages)
        return float(everything / 2 - (weights[self.same_who] ** 2).sum())

    def share(self, threshold: float, weights: Floats, faces: Faces) -> float:
        """Of pairs of different people, those that are at least so alike; NaN without pairs."""
        pairs = self.pairs(weights, faces)
        beyond = self.who[: np.searchsorted(-self.alike, -threshold, side="right")]
        matched = float((weights[beyond[:, 0]] * weights[beyond[:, 1]]).sum())
        return matched / pairs if pairs > 0 else np.nan

    def thresholds(self, rates: Sequence[float], weights: Floats, faces: Faces) -> list[float]:
        """The similarities that these shares of the pairs of different people reach.

        Where a hundred pairs are beyond one, they are counted. Where fewer are, an exponential
        tail is laid through the likest twentieth, and the higher of both is taken.
        """
        each = np.cumsum(weights[self.who[:, 0]] * weights[self.who[:, 1]])
        pairs = self.pairs(weights, faces)
        if not len(each) or not each[-1]:
            return [np.nan] * len(rates)
        last = len(each) - 1
        tail = min(_TAIL, each[-1] / pairs)
        edge = min(int(np.searchsorted(each, tail * pairs)), last)
        start = float(self.alike[edge])
        counts = np.diff(each[: edge + 1], prepend=0)
        scale = float(((self.alike[: edge + 1] - start) * counts).sum() / counts.sum())
        found = []
        for rate in rates:
            place = min(int(np.searchsorted(each, rate * pairs, side="right")), last)
            counted = float(np.nextafter(self.alike[place], np.float32(2)))
            shaped = start + scale * float(np.log(tail / rate))
            found.append(counted if rate * pairs >= _COUNTED else max(counted, shaped))
        return found


def cells_of(faces: Faces) -> Iterator[tuple[str, str, Cell]]:
    """Both bands and the pairs of every cell, those without any left out."""
    most = int(faces.tenths.max()) + 1
    tenths = np.arange(most)
    younger = np.minimum(tenths[:, np.newaxis], tenths)
    gap = np.abs(tenths[:, np.newaxis] - tenths)
    of_cell = _band(younger, YOUNGEST) * len(GAPS) + _band(gap, GAPS)
    kept = [_Kept() for _ in range(len(YOUNGEST) * len(GAPS))]
    for first, second, alike in pairs_of_rows(faces.vectors):
        swap = faces.tenths[first] > faces.tenths[second]
        young, old = np.where(swap, second, first), np.where(swap, first, second)
        cells = of_cell[faces.tenths[young], faces.tenths[old]]
        who = np.stack([faces.people[young], faces.people[old]], 1)
        for number in np.unique(cells):
            kept[number].add(alike[cells == number], who[cells == number])
    for number, found in enumerate(kept):
        if found.pairs:
            youngest, gap_name = divmod(number, len(GAPS))
            cell = found.cell((of_cell == number).astype(np.float64))
            yield band_names(YOUNGEST)[youngest], band_names(GAPS)[gap_name], cell


def _band(tenths: NDArray[np.int64], starts: Sequence[int]) -> NDArray[np.int64]:
    return np.searchsorted(np.array(starts[1:]) * _TENTHS, tenths, side="right")


class _Kept:
    """Of the pairs that are added, those of one person and the likest of two."""

    def __init__(self) -> None:
        self.alike = np.empty(0, np.float32)
        self.who = np.empty((0, 2), np.int64)
        self.same: list[NDArray[np.float32]] = []
        self.same_who: list[NDArray[np.int64]] = []
        self.pairs = 0

    def add(self, alike: NDArray[np.float32], who: NDArray[np.int64]) -> None:
        """Take pairs [M] and their people [M, 2]."""
        one = who[:, 0] == who[:, 1]
        self.pairs += int((~one).sum())
        self.same.append(alike[one])
        self.same_who.append(who[one, 0])
        self.alike = np.concatenate([self.alike, alike[~one]])
        self.who = np.concatenate([self.who, who[~one]])
        if len(self.alike) > _MOST_KEPT:
            likest = np.argpartition(-self.alike, _MOST_KEPT - 1)[:_MOST_KEPT]
            self.alike, self.who = self.alike[likest], self.who[likest]

    def cell(self, ages: Floats) -> Cell:
        order = np.argsort(-self.alike, kind="stable")
        same, whose = np.concatenate(self.same), np.concatenate(self.same_who)
        return Cell(self.alike[order], self.who[order], ages, same, whose)


def rates_by_age(
    tables: dict[str, EmbeddingTable],
    *,
    rates: Sequence[float] = RATES,
    draws: int = 300,
    seed: int = 0,
) -> tuple[AgeRates, ...]:
    """Rates for every cell of ages that a set of faces has enough people for.

    Args:
        tables: by what the card calls them, with a `subject` in every row and ages as the model
            sees them that will be asked; rows without an age are left out.
        rates: to try, of which those up to 0.01 are measured that a set has pairs for.
        draws: of people, for the intervals: each time the threshold is found on the people drawn
            and tried on those who were not.
        seed: of the draws.

    Raises:
        TableError: a row has no subject, or a table has no ages.
    """
    found: dict[tuple[str, str], AgeRates] = {}
    for name, table in tables.items():
        faces = Faces.of(table)
        for youngest, gap, cell in cells_of(faces):
            counted = _counted(cell, faces, rates)
            if counted is None:
                continue
            measured = _rates(cell, faces, counted["rates"], _Draws(draws, seed))
            one = AgeRates(youngest, gap, name, **counted | {"rates": measured})
            other = found.get((youngest, gap))
            if other is None or _strictness(one) > _strictness(other):
                found[youngest, gap] = one
    return tuple(found[place] for place in sorted(found, key=_in_order))


def _in_order(place: tuple[str, str]) -> tuple[int, int]:
    return band_names(YOUNGEST).index(place[0]), band_names(GAPS).index(place[1])


def _strictness(one: AgeRates) -> float:
    at = one.at(_DECIDES) or one.rates[-1]
    return at.threshold


def _counted(cell: Cell, faces: Faces, rates: Sequence[float]) -> dict[str, Any] | None:
    """What is in the cell, and the rates that it has pairs for; None where it has too little."""
    pairs = cell.pairs(np.ones(int(faces.people.max()) + 1), faces)
    # One adult who looks four years old would else speak for all children.
    fewest = min(len(np.unique(cell.who[:, side])) for side in (0, 1))
    wanted = [float(f"{rate:.6g}") for rate in sorted(rates, reverse=True)]
    wanted = [rate for rate in wanted if rate <= _MOST and rate * pairs >= 1]
    if fewest < _LEAST_PEOPLE or not wanted:
        return None
    return {
        "people": len(np.unique(cell.who)),
        "different_pairs": round(pairs),
        "same_pairs": len(cell.same),
        "same_people": len(np.unique(cell.same_who)),
        "rates": wanted,
    }


@dataclass(frozen=True, slots=True)
class _Draws:
    """How intervals are made."""

    draws: int
    seed: int


def _rates(
    cell: Cell, faces: Faces, wanted: Sequence[float], how: _Draws
) -> tuple[MeasuredRate, ...]:
    everyone = np.ones(int(faces.people.max()) + 1)
    thresholds = cell.thresholds(wanted, everyone, faces)
    false, true = _drawn(cell, faces, wanted, how)
    # Of nothing that was seen among so many, the rule of three says how much it may be.
    least = 3 / cell.pairs(everyone, faces)
    return tuple(
        MeasuredRate(
            false_match_rate=rate,
            threshold=threshold,
            measured=cell.share(threshold, everyone, faces),
            low=float(np.nanquantile(false[:, place], _LEVEL[0])),
            high=max(rate, least, float(np.nanquantile(false[:, place], _LEVEL[1]))),
            true_match_rate=float((cell.same >= threshold).mean()) if len(cell.same) else None,
            true_low=_quantile(true[:, place], _LEVEL[0]),
            true_high=_quantile(true[:, place], _LEVEL[1]),
        )
        for place, (rate, threshold) in enumerate(zip(wanted, thresholds, strict=True))
    )


def _drawn(cell: Cell, faces: Faces, rates: Sequence[float], how: _Draws) -> tuple[Floats, Floats]:
    """False match rates among people not drawn, and true ones among those drawn [draws, rates]."""
    chance = np.random.default_rng(how.seed)
    people = int(faces.people.max()) + 1
    thresholds = cell.thresholds(rates, np.ones(people), faces)
    false, true = np.full((2, how.draws, len(rates)), np.nan)
    for draw in range(how.draws):
        weights = np.bincount(chance.integers(people, size=people), minlength=people).astype(float)
        others = (weights == 0).astype(float)
        of_pair = weights[cell.same_who]
        found = cell.thresholds(rates, weights, faces)
        for place in range(len(rates)):
            false[draw, place] = cell.share(found[place], others, faces)
            if of_pair.sum():
                matched = cell.same >= thresholds[place]
                true[draw, place] = (of_pair * matched).sum() / of_pair.sum()
    return false, true


def _quantile(values: Floats, share: float) -> float | None:
    return None if np.isnan(values).all() else float(np.nanquantile(values, share))
