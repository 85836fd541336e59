"""A way to put samples into groups, such as by gender or by age band."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Codes: TypeAlias = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Grouping:
    """G groups of N samples.

    Args:
        name: of the grouping.
        groups: names of the groups.
        codes: the group [N] of each sample; -1 is in none.

    Raises:
        ValueError: a code is of no group.
    """

    name: str
    groups: tuple[str, ...]
    codes: Codes

    def __post_init__(self) -> None:
        codes = np.asarray(self.codes, dtype=np.int64)
        if codes.ndim != 1 or (codes < -1).any() or (codes >= len(self.groups)).any():
            raise ValueError(f"{self.name}: codes are [N], from -1 to {len(self.groups) - 1}")
        object.__setattr__(self, "codes", codes)

    @classmethod
    def everybody(cls, count: int) -> Grouping:
        """One group of all `count` samples, the group and the grouping named ``everybody``."""
        return cls("everybody", ("everybody",), np.zeros(count, dtype=np.int64))

    @classmethod
    def by_words(cls, words: pd.Series) -> Grouping:
        """A group for each word in use of a column; rows without a word are in none."""
        codes, groups = pd.factorize(words, sort=True)
        return cls(str(words.name), tuple(map(str, groups)), codes.astype(np.int64))

    def __len__(self) -> int:
        return len(self.groups)
