"""Pair lists of any known form, told from their first line, without the pictures."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from agelens.data.datasets.base import read_lines
from agelens.data.datasets.calfw import calfw_pairs
from agelens.data.datasets.lfw import lfw_pairs
from agelens.data.datasets.pairs import PairList, plain_pairs
from agelens.errors import DatasetError


def read_pair_file(path: str | Path) -> PairList:
    """The pairs of LFW's `pairs.txt`, of CALFW's `pairs_CALFW.txt`, or of a plain list.

    A plain list has lines `a.jpg b.jpg 1` (1 same, 0 or -1 not) in ten folds of equal length, as
    IEFP's lists of CACD-VS and CALFW.

    Raises:
        DatasetError: the file is of neither form; the line that shows it is named.
    """
    path = Path(path)
    first = read_lines(path)[0].split()
    return _reader(path, first)(path)


def _reader(path: Path, first: list[str]) -> Callable[[Path], PairList]:
    if first and all(field.isdecimal() for field in first):
        return lfw_pairs
    if len(first) >= 3 and first[-1] in ("1", "0", "-1"):
        return plain_pairs
    if len(first) == 2 and first[1].isdecimal():
        return calfw_pairs
    raise DatasetError(
        f"{path} is no list of pairs: its first line is {' '.join(first)[:80]!r}. Expected LFW's "
        "counts ('10 300'), CALFW's 'a.jpg 1', or 'a.jpg b.jpg 1'"
    )
