"""Leave one person out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pandas as pd

from agelens.data.splits.split import (
    Codes,
    PartCodes,
    Split,
    Units,
    deal,
    seeded,
    subject_codes,
    units_of,
)
from agelens.errors import TableError, UsageError
from agelens.tables import SampleTable


@dataclass(frozen=True, slots=True)
class LeaveOnePersonOut:
    """FG-NET's protocol: each person is the test part once, 82 splits.

    The validation people come from the other persons, drawn anew for each split. With near-
    duplicates, people who share one stay together, and those who share one with the person
    left out are in no part. Report the error pooled over all samples and
    the mean over persons, which differ.

    Args:
        valid_share: of the samples of the other persons; 0 for no validation part.
        most_subjects: more than this is refused, since each means a training.

    Raises:
        UsageError: the share is not from 0 up to 1.
    """

    valid_share: float = 0.1
    most_subjects: int = 1000

    name: ClassVar[str] = "lopo"
    summary: ClassVar[str] = "leave one person out; validation people from the others"
    by_subject: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if not 0 <= self.valid_share < 1:
            raise UsageError(f"valid_share is from 0 up to 1, not {self.valid_share}")

    def __call__(
        self, table: SampleTable, *, seed: int = 0, duplicates: pd.Series | None = None
    ) -> tuple[Split, ...]:
        """One split a person, numbered in the order of their names.

        Raises:
            TableError: a row has no subject, there are fewer than two, or more than
                `most_subjects`.
        """
        person, names = subject_codes(table)
        self._check(person, len(names))
        units = units_of(table, "subject", duplicates)
        own = np.empty(len(names), dtype=np.int64)
        own[person] = units.codes
        ids, parts = table.frame["sample_id"], (*self._shares, "test")
        splits = []
        for number, name in enumerate(names):
            codes = self._drawn(units, int(own[number]), seed)
            codes[person == number] = len(self._shares)
            notes = (f"the person left out is {name}", *_twins(codes))
            split = Split(f"person_{number:03d}", ids, parts, codes, self.name, seed, notes)
            splits.append(split)
        return tuple(splits)

    @property
    def _shares(self) -> dict[str, float]:
        train = {"train": 1 - self.valid_share}
        return train | ({"valid": self.valid_share} if self.valid_share else {})

    def _drawn(self, units: Units, unit: int, seed: int) -> PartCodes:
        """Train and valid codes [N] of the other units, -1 for the one left out."""
        others = np.arange(len(units.prints)) != unit
        # The left-out unit's own print makes every split's draw another one.
        prints = seeded(units.prints ^ units.prints[unit], seed)[others]
        part = np.full(len(others), -1, dtype=np.int8)
        part[others] = deal(prints, units.sizes[others], self._shares)
        return part[units.codes]

    def _check(self, person: Codes, people: int) -> None:
        nameless = int((person < 0).sum())
        if nameless:
            raise TableError(
                f"{nameless} of {len(person)} rows have no subject; leaving one person out needs "
                "the subject of every row"
            )
        if not 2 <= people <= self.most_subjects:
            raise TableError(
                f"the table has {people} people, and leaving each out once means as many "
                f"trainings: from 2 to most_subjects={self.most_subjects} are taken. "
                "For more people take subject-k-fold"
            )


def _twins(codes: PartCodes) -> tuple[str, ...]:
    count = int((codes < 0).sum())
    note = f"{count} samples are in no part: their people share a near-duplicate with the person"
    return (note,) if count else ()
