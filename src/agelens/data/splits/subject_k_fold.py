"""Subject-exclusive, age-balanced folders, and the unified benchmark's five splits of ten.

Paplham and Franc, "A Call to Reflect on Evaluation Practices for Age Estimation", CVPR 2024.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from agelens.data.splits.split import Codes, Split, Units, seeded, units_of
from agelens.errors import UsageError
from agelens.tables import SampleTable


def balanced_folders(table: SampleTable, units: Units, folders: int, seed: int) -> Codes:
    """The folder [U] of every unit.

    Units come in the order of their seeded prints. Each goes to the folder with fewest
    samples of the unit's most frequent age, and of those to the smallest. Units of one
    sample are dealt last by the same rule; they even out what people of many pictures left
    uneven. An age is a whole year, the lower bound of an age class, or unknown.
    """
    cells = _age_counts(table, units)
    order = np.argsort(seeded(units.prints, seed), kind="stable")
    single = units.sizes[order] == 1
    loads = _Loads(np.zeros((cells.ages, folders), dtype=np.int64))
    folder = np.empty(len(order), dtype=np.int64)
    folder[order[~single]] = loads.deal_units(order[~single], cells)
    ones = order[single]
    folder[ones] = loads.deal_singles(cells.age[cells.start[ones]])
    return folder


@dataclass(frozen=True, slots=True, eq=False)
class _AgeCounts:
    """How many samples of each age every unit has, most frequent age first.

    Cells of unit u are `start[u]` to `start[u + 1]`.
    """

    age: Codes
    count: Codes
    start: Codes
    ages: int


def _age_counts(table: SampleTable, units: Units) -> _AgeCounts:
    years = table.frame["age_years"].fillna(table.frame["age_low"]).to_numpy()
    ages, names = pd.factorize(np.floor(years), sort=True, use_na_sentinel=False)
    width = max(len(names), 1)
    cells, count = np.unique(units.codes * width + ages, return_counts=True)
    unit, age = np.divmod(cells, width)
    order = np.lexsort((age, -count, unit))
    start = np.searchsorted(unit, np.arange(len(units.prints) + 1))
    return _AgeCounts(age[order], count[order], start, width)


@dataclass(frozen=True, slots=True, eq=False)
class _Loads:
    """Samples by age and folder, `[A, F]`, so far."""

    table: NDArray[np.int64]

    def deal_units(self, order: Codes, cells: _AgeCounts) -> list[int]:
        # Python lists: each choice depends on the last, and numpy calls on ten numbers are slower.
        loads = self.table.tolist()
        total = self.table.sum(axis=0).tolist()
        age, count = cells.age.tolist(), cells.count.tolist()
        starts, ends = cells.start[order].tolist(), cells.start[order + 1].tolist()
        chosen = []
        for start, end in zip(starts, ends, strict=True):
            pairs = list(zip(loads[age[start]], total, strict=True))
            folder = pairs.index(min(pairs))
            for cell in range(start, end):
                loads[age[cell]][folder] += count[cell]
                total[folder] += count[cell]
            chosen.append(folder)
        self.table[:] = loads
        return chosen

    def deal_singles(self, ages: Codes) -> Codes:
        folder = np.empty(len(ages), dtype=np.int64)
        order = np.argsort(ages, kind="stable")
        edges = np.searchsorted(ages[order], np.arange(len(self.table) + 1))
        for age, (start, end) in enumerate(pairwise(edges)):
            filled = _fill(self.table[age], self.table.sum(axis=0), int(end - start))
            folder[order[start:end]] = filled
            self.table[age] += np.bincount(filled, minlength=self.table.shape[1])
        return folder


def _fill(loads: Codes, totals: Codes, count: int) -> Codes:
    """Folders of `count` samples of one age, each to the lowest load, then the smallest folder."""
    level = -(-(int(loads.sum()) + count) // len(loads))
    room = np.maximum(level - loads, 0)
    folder = np.repeat(np.arange(len(loads)), room)
    height = np.concatenate([np.arange(low, max(level, low)) for low in loads.tolist()])
    return folder[np.lexsort((folder, totals[folder], height))[:count]]


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
