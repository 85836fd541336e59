"""Pairs of pictures to tell "same person" from "not the same", in folds."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from agelens.data.datasets.base import read_lines
from agelens.data.datasets.folder import PictureFiles
from agelens.errors import DatasetError

_TEXT = pd.StringDtype("pyarrow")


@dataclass(frozen=True, slots=True)
class PairList:
    """Pairs as listed: two `names` each, whether of the `same` person, and `fold` from 0."""

    names: tuple[tuple[str, str], ...]
    same: tuple[bool, ...]
    fold: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.names)

    def under(self, folder: str) -> PairList:
        """The list with its names below `folder`; ``.`` leaves them as they are."""
        if folder in ("", "."):
            return self
        names = tuple((f"{folder}/{a}", f"{folder}/{b}") for a, b in self.names)
        return PairList(names, self.same, self.fold)


@dataclass(frozen=True, slots=True, eq=False)
class PairTable:
    """One row a pair, in the owner's order.

    `frame` has `path_a`, `path_b` (relative to the root, posix), `same` (bool), `fold`
    (from 0) and `issue`, missing where both pictures are there. A pair with an absent picture
    stays: leaving it out changes the benchmark. `missing` names every absent picture once.
    """

    frame: pd.DataFrame
    missing: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.frame)

    @property
    def usable(self) -> pd.DataFrame:
        """The pairs of which both pictures are there."""
        return self.frame[self.frame["issue"].isna()]


def pair_table(pairs: PairList, files: PictureFiles | None = None) -> PairTable:
    """The table of listed pairs, their pictures found among those on disk whatever their case.

    Args:
        pairs: as listed.
        files: the pictures on disk; None leaves the names as listed, and nothing is missing.
    """
    listed = {path for pair in pairs.names for path in pair}
    found = {path: path if files is None else files.find(path) for path in listed}
    absent = [[path for path in pair if found[path] is None] for pair in pairs.names]
    issues = [f"file absent: {', '.join(paths)}" if paths else None for paths in absent]
    frame = pd.DataFrame(
        {
            "path_a": pd.array([found[a] or a for a, _ in pairs.names], dtype=_TEXT),
            "path_b": pd.array([found[b] or b for _, b in pairs.names], dtype=_TEXT),
            "same": pd.array(pairs.same, dtype=bool),
            "fold": pd.array(pairs.fold, dtype="Int16"),
            "issue": pd.array(issues, dtype=_TEXT),
        }
    )
    return PairTable(frame, tuple(sorted(path for path, file in found.items() if file is None)))


def read_pair_list(path: Path, root: Path, under: str = ".", *, folds: int = 10) -> PairTable:
    """Pairs of a plain list `a.jpg b.jpg 1`, where 1 is "same" and 0 or -1 is not.

    Names lie under the folder `under` of `root`; equal stretches of the list are the folds.
    The IEFP lists of CACD-VS and CALFW have this form.

    Raises:
        DatasetError: a line is of another form, or the list does not divide into `folds`.
    """
    return pair_table(plain_pairs(path, folds=folds).under(under), PictureFiles(root, [under]))


def plain_pairs(path: Path, *, folds: int = 10) -> PairList:
    """The pairs of such a list by themselves; see `read_pair_list`.

    Raises:
        DatasetError: a line is of another form, or the list does not divide into `folds`.
    """
    lines = [line.rsplit(maxsplit=2) for line in read_lines(path)]
    for number, fields in enumerate(lines, start=1):
        if len(fields) != 3 or fields[2] not in ("1", "0", "-1"):
            raise DatasetError(f"{path}, line {number}: expected 'a.jpg b.jpg 1', got {fields}")
    if len(lines) % folds:
        raise DatasetError(f"{path}: {len(lines)} pairs do not divide into {folds} folds")
    size = len(lines) // folds
    return PairList(
        tuple((a, b) for a, b, _ in lines),
        tuple(fields[2] == "1" for fields in lines),
        tuple(row // size for row in range(len(lines))),
    )
