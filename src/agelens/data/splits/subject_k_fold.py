"""Subject-exclusive, age-balanced folders, and the unified benchmark's five splits of ten.

Paplham and Franc, "A Call to Reflect on Evaluation Practices for Age Estimation", CVPR 2024.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from agelens.data.splits.balanced_folders import balanced_folders
from agelens.data.splits.split import Split
from agelens.data.splits.units import units_of
from agelens.errors import UsageError
from agelens.tables import SampleTable

Arrangement = Sequence[Mapping[str, Sequence[int]]]
"""One mapping a split: the folders of each part."""

UNIFIED_ARRANGEMENT: Final[Arrangement] = (
    {"train": (0, 1, 2, 3, 4, 5), "valid": (6, 7), "test": (8, 9)},
    {"train": (2, 3, 4, 5, 6, 7), "valid": (8, 9), "test": (0, 1)},
    {"train": (4, 5, 6, 7, 8, 9), "valid": (0, 1), "test": (2, 3)},
    {"train": (5, 6, 7, 8, 9, 0), "valid": (1, 2), "test": (3, 4)},
    {"train": (6, 7, 8, 9, 0, 1), "valid": (2, 3), "test": (4, 5)},
)
"""60/20/20 over ten folders; every folder but 6 and 7 is tested once."""


@dataclass(frozen=True, slots=True)
class SubjectKFold:
    """Deals people into folders of like ages and arranges these into splits.

    The benchmark's rule: people come in random order, and each goes to the folder that has
    fewest pictures of the age most frequent in theirs (see `balanced_folders`). Folders
    made here follow the rule, and are not those that the benchmark published; for these
    read its JSON database and take the protocol `unified`.

    Args:
        folders: how many there are.
        arrangement: folders of each part, one mapping a split.

    Raises:
        UsageError: a folder of the arrangement is not there, or is in two parts of a split.
    """

    folders: int = 10
    arrangement: Arrangement = UNIFIED_ARRANGEMENT

    name: ClassVar[str] = "subject-k-fold"
    summary: ClassVar[str] = "ten folders by subject, alike in age; five 60/20/20 splits"
    by_subject: ClassVar[bool] = True

    def __post_init__(self) -> None:
        for parts in self.arrangement:
            used = [folder for part in parts.values() for folder in part]
            if len({*used}) < len(used) or not {*used} <= {*range(self.folders)}:
                raise UsageError(f"{dict(parts)} is no arrangement of folders 0 to {self.folders}")

    def __call__(
        self, table: SampleTable, *, seed: int = 0, duplicates: pd.Series | None = None
    ) -> tuple[Split, ...]:
        """One split for each line of the arrangement."""
        units = units_of(table, "subject", duplicates)
        folder = balanced_folders(table, units, self.folders, seed)[units.codes]
        return tuple(
            arranged(
                f"split_{number}",
                table,
                folder,
                parts,
                protocol=self.name,
                seed=seed,
                notes=units.notes,
            )
            for number, parts in enumerate(self.arrangement)
        )

    def folds(
        self, table: SampleTable, *, seed: int = 0, duplicates: pd.Series | None = None
    ) -> NDArray[np.int16]:
        """Folder [N] of every row, as the table's `fold` column has it."""
        units = units_of(table, "subject", duplicates)
        return balanced_folders(table, units, self.folders, seed)[units.codes].astype(np.int16)


def arranged(
    name: str,
    table: SampleTable,
    folder: NDArray[np.int_],
    parts: Mapping[str, Sequence[int]],
    *,
    protocol: str,
    seed: int | None = None,
    notes: tuple[str, ...] = (),
) -> Split:
    """The split in which each part is some folders; `folder` [N] is -1 where there is none."""
    used = [number for part in parts.values() for number in part]
    lookup = np.full(max([*used, int(folder.max(initial=-1))], default=-1) + 2, -1, dtype=np.int8)
    for code, part in enumerate(parts.values()):
        lookup[list(part)] = code
    # The last entry stands for folder -1.
    return Split(
        name, table.frame["sample_id"], tuple(parts), lookup[folder], protocol, seed, notes
    )
