"""A published list's parts and folders, carried over to a table by file name."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from agelens.data.datasets.folder import folded
from agelens.data.splits.official import split_by_column
from agelens.data.splits.split import Split
from agelens.errors import TableError
from agelens.tables import SampleTable


@dataclass(frozen=True, slots=True)
class RAPLFolds:
    """The parts of a list as Relative Age Position Learning published them.

    Amirullaeva and Han, IEEE Access 12, 2024: `fold` is train, val or test, drawn per image.
    Of the AgeDB list's 557 validation subjects 556 are in its train part too, so writing it
    needs the leaks to be allowed. Lists of the other formats carry over in the same way.

    Args:
        listed: the list, read by `agelens.data.formats`; None where the table to be split
            was itself read from it.
    """

    listed: SampleTable | None = None

    name: ClassVar[str] = "rapl"
    summary: ClassVar[str] = "parts of a published RAPL list; shares people"
    by_subject: ClassVar[bool] = False

    def __call__(
        self,
        table: SampleTable,
        *,
        seed: int = 0,  # noqa: ARG002 - every protocol takes it
        duplicates: pd.Series | None = None,  # noqa: ARG002
    ) -> tuple[Split, ...]:
        """One split; `seed` and `duplicates` change nothing.

        Raises:
            TableError: nothing has a part, no listed file is in the table, or one could be
                several.
        """
        table, notes = carried_over(self.listed, table)
        if table.frame["split"].isna().all():
            raise TableError(
                "no row has a part: read the list with the format rapl, and split the table "
                "that comes out, or give it as `listed` beside the dataset's own table"
            )
        return (split_by_column(table, self.name, notes),)


def carried_over(
    listed: SampleTable | None, table: SampleTable
) -> tuple[SampleTable, tuple[str, ...]]:
    """`table` with the `split` and `fold` of a list, and a note on listed samples it lacks.

    Without a list the table comes back as it is. What the list does not name has neither.

    Raises:
        TableError: no listed file is in the table, or one could be several.
    """
    if listed is None:
        return table, ()
    rows = rows_by_path(listed.frame["path"], table.frame["path"])
    found = rows >= 0
    if not found.any():
        shown = [str(each.frame["path"].iloc[:1].tolist()) for each in (listed, table)]
        raise TableError(
            f"none of the {len(rows)} listed files is in the table: the list has {shown[0]}, "
            f"the table {shown[1]}"
        )
    place = np.full(len(table), -1)
    place[rows[found]] = np.flatnonzero(found)
    labels = {name: listed.frame[name].take(place).mask(place < 0) for name in ("split", "fold")}
    columns = {name: values.reset_index(drop=True) for name, values in labels.items()}
    absent = int((~found).sum())
    notes = (f"{absent} of {len(rows)} listed samples are not in the table",) if absent else ()
    return table.with_columns(**columns), notes


def rows_by_path(listed: pd.Series, paths: pd.Series) -> NDArray[np.int64]:
    """The row in `paths` of every listed path, or -1; lists leave out leading folders.

    A path is found by its base name where that is unique, else by the end of the longer of
    the two paths; case and the form of accents do not count.

    Raises:
        TableError: a listed path could be several.
    """
    by_name: dict[str, list[int]] = defaultdict(list)
    whole = [folded(path) for path in paths]
    for row, path in enumerate(whole):
        by_name[path.rpartition("/")[2]].append(row)
    return np.array([_row(folded(path), by_name, whole) for path in listed], dtype=np.int64)


def _row(path: str, by_name: dict[str, list[int]], whole: list[str]) -> int:
    rows = by_name.get(path.rpartition("/")[2], [])
    if len(rows) > 1:
        rows = [row for row in rows if _end_alike(whole[row], path)]
    if len(rows) > 1:
        raise TableError(
            f"the listed file {path} could be {len(rows)} of the table's, such as "
            f"{whole[rows[0]]} and {whole[rows[1]]}"
        )
    return rows[0] if rows else -1


def _end_alike(one: str, other: str) -> bool:
    return f"/{one}".endswith(f"/{other}") or f"/{other}".endswith(f"/{one}")
