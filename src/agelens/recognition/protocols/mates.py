"""Which pictures show the same person, a block of probes at a time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from agelens.records import Floats

Codes: TypeAlias = NDArray[np.int64]

_PROBES_AT_A_TIME: Final = 4096


class Mates:
    """The gallery's pictures of each probe's person.

    Args:
        probe_people: the person [P] of each probe, numbered from 0.
        gallery_people: the person [G] of each picture of the gallery, in the same numbers.
        itself: the gallery is the probes, row by row; a picture is then no mate of its own.
    """

    def __init__(self, probe_people: Codes, gallery_people: Codes, *, itself: bool) -> None:
        self._people = probe_people
        self._order = np.argsort(gallery_people, kind="stable")
        most = max(probe_people.max(initial=-1), gallery_people.max(initial=-1)) + 1
        self._starts = np.concatenate([[0], np.cumsum(np.bincount(gallery_people, minlength=most))])
        self.itself = itself

    def __len__(self) -> int:
        return len(self._people)

    @property
    def counts(self) -> Codes:
        """How many mates each probe [P] has."""
        return self._pictures(slice(None)) - self.itself

    def places(self, probes: slice) -> tuple[Codes, Codes]:
        """Where in the block `probes` [b, G] pictures of the same person stand, itself included.

        Returns:
            Rows [M], counted from the block's first and ascending, and columns [M].
        """
        counts = self._pictures(probes)
        rows = np.repeat(np.arange(len(counts)), counts)
        first = self._starts[self._people[probes]] - (np.cumsum(counts) - counts)
        return rows, self._order[np.repeat(first, counts) + np.arange(len(rows))]

    def pairs(self, probes: slice) -> tuple[Codes, Codes]:
        """The probes [M], numbered in all, and mates [M] of a block; no picture with itself."""
        rows, columns = self.places(probes)
        rows = rows + (probes.start or 0)
        if not self.itself:
            return rows, columns
        others = rows != columns
        return rows[others], columns[others]

    def blocks(self, at_a_time: int = _PROBES_AT_A_TIME) -> Iterator[slice]:
        """The probes in blocks."""
        for start in range(0, len(self), at_a_time):
            yield slice(start, min(start + at_a_time, len(self)))

    def least_gaps(self, probe_years: Floats, gallery_years: Floats) -> Floats:
        """The least difference in age [P] to a mate; NaN where no age or no mate is known."""
        found = np.full(len(self), np.nan)
        for block in self.blocks():
            rows, columns = self.pairs(block)
            np.fmin.at(found, rows, np.abs(probe_years[rows] - gallery_years[columns]))
        return found

    def _pictures(self, probes: slice) -> Codes:
        people = self._people[probes]
        return np.asarray(self._starts[people + 1] - self._starts[people])
