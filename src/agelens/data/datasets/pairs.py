"""Pairs of pictures to tell "same person" from "not the same", in folds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from agelens.data.datasets.folder import PictureFiles
from agelens.data.datasets.labels import read_lines
from agelens.errors import DatasetError

_TEXT = pd.StringDtype("pyarrow")


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


def pair_table(
    pairs: Sequence[tuple[str, str]],
    same: Sequence[bool],
    fold: Sequence[int],
    files: PictureFiles,
) -> PairTable:
    """Pairs of listed paths, found among the pictures on disk whatever their case."""
    found = {path: files.find(path) for pair in pairs for path in pair}
    absent = [[path for path in pair if found[path] is None] for pair in pairs]
    issues = [f"file absent: {', '.join(paths)}" if paths else None for paths in absent]
    frame = pd.DataFrame(
        {
            "path_a": pd.array([found[a] or a for a, _ in pairs], dtype=_TEXT),
            "path_b": pd.array([found[b] or b for _, b in pairs], dtype=_TEXT),
            "same": pd.array(same, dtype=bool),
            "fold": pd.array(fold, dtype="Int16"),
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
    lines = [line.rsplit(maxsplit=2) for line in read_lines(path)]
    for number, fields in enumerate(lines, start=1):
        if len(fields) != 3 or fields[2] not in ("1", "0", "-1"):
            raise DatasetError(f"{path}, line {number}: expected 'a.jpg b.jpg 1', got {fields}")
    if len(lines) % folds:
        raise DatasetError(f"{path}: {len(lines)} pairs do not divide into {folds} folds")
    prefix = "" if under == "." else f"{under}/"
    pairs = [(prefix + a, prefix + b) for a, b, _ in lines]
    size = len(lines) // folds
    return pair_table(
        pairs,
        [fields[2] == "1" for fields in lines],
        [row // size for row in range(len(lines))],
        PictureFiles(root, [under]),
    )
