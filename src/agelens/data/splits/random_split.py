"""Random parts by share, repeated with new seeds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
import pandas as pd

from agelens.data.splits.split import By, Split, check_shares, deal, seeded, units_of
from agelens.errors import UsageError
from agelens.tables import SampleTable


def _seventy_ten_twenty() -> dict[str, float]:
    return {"train": 0.7, "valid": 0.1, "test": 0.2}


@dataclass(frozen=True, slots=True)
class HashSplit:
    """Parts by where the seeded 64-bit fingerprint of a name falls between 0 and 1.

    The name is `dataset/subject` where the subject is known, else the `sample_id`. Shares
    hold on average only: with n people a share s is off by about sqrt(s (1 - s) / n). With
    `duplicates`, a group counts by its least fingerprint, so a new duplicate may move it.

    Args:
        shares: of the samples, by part.
        by: "subject" keeps known people whole, "sample" hashes every picture for itself.

    Raises:
        UsageError: the shares are no partition, or `by` is another word.
    """

    shares: Mapping[str, float] = field(default_factory=_seventy_ten_twenty)
    by: By = "subject"

    name: ClassVar[str] = "hash"
    summary: ClassVar[str] = "70/10/20 by hash of subject or picture; stable when samples join"
    by_subject: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_shares(self.shares)

    def __call__(
        self, table: SampleTable, *, seed: int = 0, duplicates: pd.Series | None = None
    ) -> tuple[Split, ...]:
        """One split."""
        units = units_of(table, self.by, duplicates)
        place = seeded(units.prints, seed) / 2.0**64
        bounds = np.cumsum(list(self.shares.values()))[:-1]
        codes = np.searchsorted(bounds, place, side="right").astype(np.int8)[units.codes]
        ids, parts = table.frame["sample_id"], tuple(self.shares)
        return (Split("split", ids, parts, codes, self.name, seed, units.notes),)


def _eighty_twenty() -> dict[str, float]:
    return {"train": 0.8, "test": 0.2}


@dataclass(frozen=True, slots=True)
class RandomSplit:
    """Random parts, as most papers before 2020 split MORPH and AFAD: by picture.

    Taken by sample, it puts most people into both parts wherever people have several
    pictures, and numbers on it flatter a model that knows faces. Kept to compare with those
    papers; writing it needs the leaks to be allowed. Repeat r takes the seed `seed + r`.

    Args:
        shares: of the samples, by part.
        repeats: how many splits.
        by: "sample" as published, or "subject" for parts without a shared person.
        valid_share: of the train part, held out to choose the best epoch on; the test part is
            the same with and without. None by default, as published.

    Raises:
        UsageError: the shares are no partition, there are no repeats, `by` is another word, or
            the validation's share is out of range.
    """

    shares: Mapping[str, float] = field(default_factory=_eighty_twenty)
    repeats: int = 1
    by: By = "sample"
    valid_share: float = 0.0

    name: ClassVar[str] = "random-80-20"
    summary: ClassVar[str] = "random 80/20 by picture, repeated with seeds; shares people"
    by_subject: ClassVar[bool] = False

    def __post_init__(self) -> None:
        check_shares(self.shares)
        if self.repeats < 1:
            raise UsageError(f"a random split is repeated at least once, not {self.repeats} times")
        if not 0 <= self.valid_share < 1:
            raise UsageError(f"the share to validate on is from 0 to 1, got {self.valid_share}")

    def __call__(
        self, table: SampleTable, *, seed: int = 0, duplicates: pd.Series | None = None
    ) -> tuple[Split, ...]:
        """`repeats` splits."""
        units = units_of(table, self.by, duplicates)
        shares = self._with_valid()
        ids, parts = table.frame["sample_id"], tuple(shares)
        splits = []
        for number in range(seed, seed + self.repeats):
            codes = deal(seeded(units.prints, number), units.sizes, shares)[units.codes]
            name = f"seed_{number}"
            splits.append(Split(name, ids, parts, codes, self.name, number, units.notes))
        return tuple(splits)

    def _with_valid(self) -> dict[str, float]:
        """The shares, with the validation's taken off the train part."""
        if not self.valid_share:
            return dict(self.shares)
        train, *others = self.shares.items()
        held = train[1] * self.valid_share
        return {train[0]: train[1] - held, "valid": held, **dict(others)}
