"""What a split may not cut through: people, and groups of near-duplicate pictures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from agelens.data.splits.split import Prints, fingerprints, places
from agelens.errors import TableError, UsageError
from agelens.tables import SampleTable

Codes = NDArray[np.int64]
By = Literal["subject", "sample"]


@dataclass(frozen=True, slots=True, eq=False)
class Units:
    """The indivisible pieces of a table.

    `codes` [N] is the unit of each row, `prints` [U] the units' fingerprints, and `notes`
    what a reader of a split of them has to know.
    """

    codes: Codes
    prints: Prints
    notes: tuple[str, ...] = ()

    @property
    def sizes(self) -> Codes:
        """Rows in each unit [U]."""
        return np.bincount(self.codes, minlength=len(self.prints))


def units_of(table: SampleTable, by: By, duplicates: pd.Series | None = None) -> Units:
    """The units of a table.

    Args:
        table: what is to be split.
        by: "subject" keeps people whole, "sample" takes every row for itself.
        duplicates: near-duplicate group of samples by `sample_id` (a Series with the ids as
            its index), as the audit finds them; samples not in it have no duplicate. Groups
            stay whole whatever `by` is, and join the people they connect.

    Raises:
        UsageError: `by` is another word.
        TableError: `duplicates` names a sample twice.
    """
    if by not in ("subject", "sample"):
        raise UsageError(f"a split goes by 'subject' or by 'sample', not by {by!r}")
    units = _people(table) if by == "subject" else _rows(table)
    groups, _ = duplicate_codes(table, duplicates)
    return units if groups is None else _joined(units, groups)


def subject_codes(table: SampleTable) -> tuple[Codes, NDArray[np.object_]]:
    """Code [N] of each row's person, -1 where unknown, and the persons' names [S], sorted.

    Two datasets may both have a subject `001`, so a name is `dataset/subject`.
    """
    dataset, subject = table.frame["dataset"].cat, table.frame["subject"].cat
    width = len(subject.categories)
    pairs = dataset.codes.to_numpy(np.int64) * width + subject.codes.to_numpy()
    known = subject.codes.to_numpy() >= 0
    codes = np.full(len(pairs), -1, dtype=np.int64)
    used, codes[known] = np.unique(pairs[known], return_inverse=True)
    owners = dataset.categories.to_numpy(object)[used // width] if width else used
    people = subject.categories.to_numpy(object)[used % width] if width else used
    names = np.array([f"{a}/{b}" for a, b in zip(owners, people, strict=True)], dtype=object)
    return codes, names


def duplicate_codes(
    table: SampleTable, duplicates: pd.Series | None
) -> tuple[Codes | None, NDArray[np.object_]]:
    """Code [N] of each row's near-duplicate group, -1 where it has none, and the groups' names.

    Raises:
        TableError: `duplicates` names a sample twice.
    """
    if duplicates is None:
        return None, np.empty(0, dtype=object)
    if not duplicates.index.is_unique:
        twice = duplicates.index[duplicates.index.duplicated()]
        raise TableError(f"near-duplicates: {len(twice)} sample(s) twice, such as {twice[0]}")
    wanted = pd.Series(duplicates.index, dtype=pd.StringDtype("pyarrow"))
    groups, names = pd.factorize(duplicates, sort=True)
    place = places(table.frame["sample_id"], wanted)
    codes = np.where(place >= 0, np.append(groups, -1)[place], -1)
    return codes, np.asarray(names, dtype=object)


def _rows(table: SampleTable) -> Units:
    prints = fingerprints(table.frame["sample_id"])
    return Units(np.arange(len(table), dtype=np.int64), prints)


def _people(table: SampleTable) -> Units:
    codes, names = subject_codes(table)
    alone = np.flatnonzero(codes < 0)
    codes[alone] = len(names) + np.arange(len(alone))
    own = fingerprints(table.frame["sample_id"].iloc[alone])
    note = f"{len(alone)} of {len(codes)} samples have no subject: each stands alone"
    prints = np.concatenate([fingerprints(names), own])
    return Units(codes, prints, (note,) if len(alone) else ())


def _joined(units: Units, groups: Codes) -> Units:
    """Units joined where a near-duplicate group touches several; their least print is kept."""
    rows = np.flatnonzero(groups >= 0)
    count = len(units.prints)
    ends = units.codes[rows], count + groups[rows]
    size = count + int(groups.max(initial=-1)) + 1
    graph = coo_array((np.ones(len(rows), dtype=np.int8), ends), shape=(size, size))
    label = connected_components(graph, directed=False)[1][:count]
    used, label = np.unique(label, return_inverse=True)
    prints = np.full(len(used), np.iinfo(np.uint64).max, dtype=np.uint64)
    np.minimum.at(prints, label, units.prints)
    codes = label[units.codes].astype(np.int64)
    largest = int(np.bincount(codes).max(initial=0))
    note = f"near-duplicates join {largest} of {len(codes)} samples into the largest whole"
    return Units(codes, prints, (*units.notes, note))
