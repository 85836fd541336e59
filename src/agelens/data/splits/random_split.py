"""Random parts by share, repeated with new seeds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

import pandas as pd

from agelens.data.splits.fingerprints import seeded
from agelens.data.splits.shares import check_shares, deal
from agelens.data.splits.split import Split
from agelens.data.splits.units import By, units_of
from agelens.errors import UsageError
from agelens.tables import SampleTable


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

    Raises:
        UsageError: the shares are no partition, there are no repeats, or `by` is another word.
    """

    shares: Mapping[str, float] = field(default_factory=_eighty_twenty)
    repeats: int = 1
    by: By = "sample"

    name: ClassVar[str] = "random-80-20"
    summary: ClassVar[str] = "random 80/20 by picture, repeated with seeds; shares people"
    by_subject: ClassVar[bool] = False

    def __post_init__(self) -> None:
        check_shares(self.shares)
        if self.repeats < 1:
            raise UsageError(f"a random split is repeated at least once, not {self.repeats} times")

    def __call__(
        self, table: SampleTable, *, seed: int = 0, duplicates: pd.Series | None = None
    ) -> tuple[Split, ...]:
        """`repeats` splits."""
        units = units_of(table, self.by, duplicates)
        ids, parts = table.frame["sample_id"], tuple(self.shares)
        splits = []
        for number in range(seed, seed + self.repeats):
            codes = deal(seeded(units.prints, number), units.sizes, self.shares)[units.codes]
            name = f"seed_{number}"
            splits.append(Split(name, ids, parts, codes, self.name, number, units.notes))
        return tuple(splits)
