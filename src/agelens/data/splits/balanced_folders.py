"""Folders that are alike in age and cut through no unit."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from agelens.data.splits.fingerprints import seeded
from agelens.data.splits.units import Codes, Units
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
