"""Parts by a hash of the name: a sample keeps its part whatever else joins the table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
import pandas as pd

from agelens.data.splits.fingerprints import seeded
from agelens.data.splits.shares import check_shares
from agelens.data.splits.split import Split
from agelens.data.splits.units import By, units_of
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
