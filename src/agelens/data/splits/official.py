"""The split that the table carries: its owner's, or a list's that it was read from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Final

import numpy as np
import pandas as pd

from agelens.data.splits.split import Split, uncovered
from agelens.data.splits.subject_k_fold import arranged
from agelens.errors import TableError
from agelens.tables import SampleTable

_ORDER: Final = ("train", "valid", "test")


@dataclass(frozen=True, slots=True)
class OfficialSplit:
    """The `split` column as it is, or, where there is none, one split for each `fold`.

    Owners who publish folds (Adience) mean cross-validation: each fold is the test part
    once, and all others are its train part. Rows without either are in no part.
    """

    name: ClassVar[str] = "official"
    summary: ClassVar[str] = "the owner's split, or each of the owner's folds tested in turn"
    by_subject: ClassVar[bool] = False

    def __call__(
        self,
        table: SampleTable,
        *,
        seed: int = 0,  # noqa: ARG002 - every protocol takes it
        duplicates: pd.Series | None = None,  # noqa: ARG002
    ) -> tuple[Split, ...]:
        """One split, or one a fold; `seed` and `duplicates` change nothing.

        Raises:
            TableError: the table has neither splits nor folds.
        """
        if table.frame["split"].notna().any():
            return (split_by_column(table, self.name),)
        if table.frame["fold"].notna().any():
            return _by_fold(table, self.name)
        raise TableError(
            "the table has neither a split nor folds, so its owner published none or a list of "
            "them is missing; take another protocol, such as subject-k-fold"
        )


def split_by_column(
    table: SampleTable, protocol: str = "official", notes: tuple[str, ...] = ()
) -> Split:
    """The parts named in the table's `split` column, train, valid and test first."""
    column = table.frame["split"].cat
    words = list(column.categories)
    parts = [*(word for word in _ORDER if word in words), *(w for w in words if w not in _ORDER)]
    place = np.array([*(parts.index(word) for word in words), -1], dtype=np.int8)
    codes = place[column.codes]
    notes = (*notes, *uncovered(codes))
    return Split("split", table.frame["sample_id"], tuple(parts), codes, protocol, None, notes)


def _by_fold(table: SampleTable, protocol: str) -> tuple[Split, ...]:
    fold = table.frame["fold"].fillna(-1).to_numpy(np.int64)
    folds = [int(number) for number in np.unique(fold[fold >= 0])]
    return tuple(
        arranged(
            f"fold_{test}",
            table,
            fold,
            {"train": [other for other in folds if other != test], "test": [test]},
            protocol=protocol,
            notes=uncovered(fold),
        )
        for test in folds
    )
