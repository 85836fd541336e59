"""The unified benchmark's split files: which folders of which databases are in which part.

Paplham and Franc, CVPR 2024; a YAML list of `database`, `tag` and `split`, the last a list of
`trn`, `val` and `tst` folders. Parsed objects come in: only the command line reads YAML.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import ClassVar, Final

import numpy as np
import pandas as pd

from agelens.data.formats.unified import dataset_of
from agelens.data.splits.listed_split import carried_over
from agelens.data.splits.split import Split, uncovered
from agelens.data.splits.subject_k_fold import (
    UNIFIED_ARRANGEMENT,
    Arrangement,
    SubjectKFold,
    arranged,
)
from agelens.errors import TableError, UsageError
from agelens.tables import SampleTable, write_table

_PARTS: Final = {"trn": "train", "val": "valid", "tst": "test"}


@dataclass(frozen=True, slots=True)
class DatabaseFolders:
    """One database of a split file: `arrangement` has the folders of each part of each split."""

    database: str
    tag: str
    arrangement: Arrangement

    @property
    def dataset(self) -> str:
        """The name that agelens gives to the dataset, by the database's file name or tag."""
        return dataset_of(PurePosixPath(self.database).stem.removesuffix("_aligned"), self.tag)


@dataclass(frozen=True, slots=True)
class UnifiedBenchmark:
    """The splits of a split file, over the `fold` column of a table.

    Without a file every dataset of the table takes the five splits of ten folders. A row whose
    dataset is not in the file, or that has no fold, is in no part.

    Args:
        databases: as `from_object` reads them.
        listed: the published JSON database, read by the format unified; its folders are taken
            over by file name. None where the table to be split was itself read from it.

    Raises:
        UsageError: databases differ in their number of splits.
    """

    databases: tuple[DatabaseFolders, ...] = ()
    listed: SampleTable | None = None

    name: ClassVar[str] = "unified"
    summary: ClassVar[str] = "the unified benchmark's five 60/20/20 splits of published folders"
    by_subject: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if len({len(database.arrangement) for database in self.databases}) > 1:
            raise UsageError("the databases of a split file must all have as many splits")

    @classmethod
    def from_object(cls, entries: object, listed: SampleTable | None = None) -> UnifiedBenchmark:
        """The benchmark of a parsed split file.

        Raises:
            UsageError: it is no list of `database` and `split`; the message says which entry.
        """
        if not isinstance(entries, Sequence) or isinstance(entries, str) or not entries:
            raise UsageError("a split file is a list of entries with `database` and `split`")
        return cls(tuple(_entry(number, entry) for number, entry in enumerate(entries)), listed)

    def to_text(self) -> str:
        """The split file as the benchmark's scripts read it: YAML."""
        lines = []
        for one in self.databases:
            lines += [f"- database: {json.dumps(one.database, ensure_ascii=False)}"]
            lines += [f"  tag: {json.dumps(one.tag, ensure_ascii=False)}", "  split:"]
            for parts in one.arrangement:
                folders = [f"{key}: {[*parts.get(part, ())]}" for key, part in _PARTS.items()]
                lines += [f"  - {folders[0]}", *(f"    {rest}" for rest in folders[1:])]
        return "\n".join(lines) + "\n"

    def __call__(
        self,
        table: SampleTable,
        *,
        seed: int = 0,  # noqa: ARG002 - every protocol takes it
        duplicates: pd.Series | None = None,  # noqa: ARG002
    ) -> tuple[Split, ...]:
        """One split for each of the file; `seed` and `duplicates` change nothing.

        Raises:
            TableError: no row has a fold, no dataset of the table is in the file, or the list is
                of other pictures.
        """
        table, notes = carried_over(self.listed, table)
        by_dataset = self._arrangements(table)
        fold = table.frame["fold"].fillna(-1).to_numpy(np.int64)
        if (fold < 0).all():
            raise TableError(
                "no row has a fold: read the benchmark's JSON database, whose `folder` it is, or "
                "take subject-k-fold, which deals new folders"
            )
        count = len(next(iter(by_dataset.values())))
        return tuple(self._split(number, table, fold, by_dataset, notes) for number in range(count))

    def _split(
        self,
        number: int,
        table: SampleTable,
        fold: np.ndarray[tuple[int], np.dtype[np.int64]],
        by_dataset: Mapping[str, Arrangement],
        notes: tuple[str, ...],
    ) -> Split:
        codes = np.full(len(table), -1, dtype=np.int8)
        for dataset, arrangement in by_dataset.items():
            rows = (table.frame["dataset"] == dataset).to_numpy()
            parts = {part: arrangement[number].get(part, ()) for part in _PARTS.values()}
            codes[rows] = arranged("part", table, fold, parts, protocol=self.name).codes[rows]
        ids, names = table.frame["sample_id"], tuple(_PARTS.values())
        notes = (*notes, *uncovered(codes))
        return Split(f"split_{number}", ids, names, codes, self.name, None, notes)

    def _arrangements(self, table: SampleTable) -> dict[str, Arrangement]:
        datasets = list(table.frame["dataset"].cat.categories)
        if not self.databases:
            return dict.fromkeys(datasets, UNIFIED_ARRANGEMENT)
        known = {one.dataset: one.arrangement for one in self.databases}
        found = {dataset: known[dataset] for dataset in datasets if dataset in known}
        if not found:
            raise TableError(
                f"no dataset of the table ({', '.join(datasets)}) is in the split file, which has "
                f"{', '.join(known)}"
            )
        return found


def write_folders(
    table: SampleTable,
    protocol: SubjectKFold,
    folder: Path,
    *,
    seed: int = 0,
    duplicates: pd.Series | None = None,
) -> tuple[Path, Path]:
    """Write what the benchmark's scripts need of the folders that `protocol` deals.

    Returns:
        The paths of its YAML split file, and of the table with its folders, for the format
        `unified`.
    """
    folds = protocol.folds(table, seed=seed, duplicates=duplicates)
    names = [str(name) for name in table.frame["dataset"].unique()]
    databases = tuple(DatabaseFolders(f"{n}.json", n, protocol.arrangement) for n in names)
    paths = folder / "unified.yaml", folder / "folders.parquet"
    paths[0].write_text(UnifiedBenchmark(databases).to_text(), encoding="utf-8")
    write_table(table.with_columns(fold=folds), paths[1])
    return paths


def _entry(number: int, entry: object) -> DatabaseFolders:
    if not isinstance(entry, Mapping) or "database" not in entry or "split" not in entry:
        raise UsageError(f"split file, entry {number}: `database` and `split` are needed")
    splits = entry["split"]
    if not isinstance(splits, Sequence) or not splits or not all(map(_is_split, splits)):
        raise UsageError(
            f"split file, entry {number} ({entry['database']}): `split` is a list of trn, val and "
            f"tst, each a list of folder numbers, and no folder in two; got {splits!r}"
        )
    arrangement = tuple({_PARTS[key]: tuple(one[key]) for key in _PARTS} for one in splits)
    return DatabaseFolders(str(entry["database"]), str(entry.get("tag", "")), arrangement)


def _is_split(one: object) -> bool:
    if not isinstance(one, Mapping) or {*one} != {*_PARTS}:
        return False
    lists = list(one.values())
    if not all(isinstance(folders, Sequence) and not isinstance(folders, str) for folders in lists):
        return False
    folders = [folder for folders in lists for folder in folders]
    return all(type(folder) is int and folder >= 0 for folder in folders) and (
        len({*folders}) == len(folders)
    )
