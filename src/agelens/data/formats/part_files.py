"""Formats of several files: one for each part of a split, named by it."""

from __future__ import annotations

import re
from pathlib import Path

from agelens.data.formats.base import PARTS
from agelens.errors import DatasetError, TableError, UsageError
from agelens.tables import SampleTable


def find_part_files(folder: str | Path, ending: str, prefix: str | None = None) -> dict[str, Path]:
    """The files `{prefix}_{part}{ending}` of a folder by part, whatever their case.

    Args:
        folder: where they lie.
        ending: of the name, after the part.
        prefix: which lists; None where the folder holds those of one dataset only.

    Raises:
        DatasetError: there is none, or those of several datasets; the message names what is there.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise DatasetError(f"there is no folder {folder}; the lists are looked for in a folder")
    pattern = re.compile(rf"(?P<prefix>.+)_(?P<part>{'|'.join(PARTS)}){re.escape(ending)}", re.I)
    names = sorted(path.name for path in folder.iterdir())
    found = [match for name in names if (match := pattern.fullmatch(name))]
    prefixes = sorted({match["prefix"] for match in found if prefix in (None, match["prefix"])})
    if len(prefixes) != 1:
        wanted = f"{prefix or '[dataset]'}_{{train,valid,test}}{ending}"
        there = f"lists of {', '.join(prefixes)}: name one as prefix" if prefixes else "none"
        listed = ", ".join(names[:8]) or "nothing"
        raise DatasetError(f"{folder}: looked for {wanted}, found {there}. It holds {listed}")
    parts = {m["part"].lower(): folder / m.string for m in found if m["prefix"] == prefixes[0]}
    return {part: parts[part] for part in PARTS if part in parts}


def prefix_of(table: SampleTable, prefix: str | None) -> str:
    """The first word of the files' names: as given, or the table's one dataset.

    Raises:
        UsageError: the table is of several datasets and none is given.
        TableError: the table is empty.
    """
    if prefix is not None:
        return prefix
    names = table.frame["dataset"].unique()
    if not len(names):
        raise TableError("the table is empty")
    if len(names) > 1:
        raise UsageError(f"the table holds {', '.join(names)}: say the prefix of the files' names")
    return str(names[0])
