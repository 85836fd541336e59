"""A share with its interval, and how it was resampled."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from agelens.evaluation.bootstrap.groupings import percentile_interval, person_codes
from agelens.recognition.embedding_table import EmbeddingTable
from agelens.records import Floats
from agelens.tables.columns import as_categories, as_plain

Codes: TypeAlias = NDArray[np.int64]

_PROBES_AT_A_TIME: Final = 4096


class GenuinePairs:
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


def known_people(table: EmbeddingTable) -> NDArray[np.bool_]:
    """Which rows [N] have an embedding and a subject."""
    return table.has_embedding & table.frame["subject"].notna().to_numpy()


_WHO = ("sample_id", "dataset", "subject")


def people_of(tables: Sequence[EmbeddingTable]) -> list[Codes]:
    """A number [N] from 0 for the person of each row of each table, the same in all tables.

    Subjects of different datasets are different people; a row without a subject is somebody
    of its own.
    """
    frame = pd.concat([_plain(table.frame) for table in tables], ignore_index=True)
    frame = frame.assign(**{name: as_categories(frame[name]) for name in _WHO[1:]})
    ends = np.cumsum([len(table) for table in tables])[:-1]
    return np.split(person_codes(frame), ends)


def years_of(table: EmbeddingTable) -> Floats:
    """The age [N] of each row, NaN where it is unknown."""
    return table.frame["age_years"].to_numpy(dtype=np.float64, na_value=np.nan)


def age_kinds(tables: Sequence[EmbeddingTable]) -> dict[str, int]:
    """How many ages there are of each kind; those whose kind no column states are `not stated`."""
    kinds = [_kinds(table.frame) for table in tables]
    return {str(kind): int(n) for kind, n in pd.concat(kinds).value_counts().items()}


def _kinds(frame: pd.DataFrame) -> pd.Series:
    aged = frame["age_years"].notna()
    if "age_kind" not in frame:
        return pd.Series("not stated", index=frame.index[aged], dtype=object)
    return frame.loc[aged, "age_kind"].astype(object).fillna("not stated")


def _plain(frame: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame({name: as_plain(frame[name]) for name in _WHO})


@dataclass(frozen=True, slots=True)
class Resampling:
    """How intervals are made: `draws` of people with replacement, of central share `level`.

    Raises:
        ValueError: fewer than 0 draws, or a level not strictly between 0 and 1.
    """

    draws: int = 1000
    level: float = 0.95
    seed: int = 0

    def __post_init__(self) -> None:
        if self.draws < 0:
            raise ValueError(f"a bootstrap takes 0 draws (no interval) or more, got {self.draws}")
        if not 0 < self.level < 1:
            raise ValueError(f"an interval's level is between 0 and 1, got {self.level}")

    def ends(self, drawn: Floats, value: float) -> tuple[float, float]:
        """Low and high end, about `value`, of what was drawn [D]; NaN where nothing was."""
        return percentile_interval(drawn, self.level, holding=value)


@dataclass(frozen=True, slots=True)
class Rate:
    """A share between 0 and 1 of `trials`, and its interval; NaN where undefined.

    `people` is None where nobody says who is on every picture.
    """

    value: float
    low: float
    high: float
    trials: int
    people: int | None

    @classmethod
    def plain(cls, value: float, trials: int, people: int | None) -> Rate:
        """A share without an interval."""
        return cls(value, math.nan, math.nan, trials, people)
