"""LFW, Labeled Faces in the Wild: identities and pairs, no ages."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from agelens.data.datasets.base import named_pictures, read_lines, sample_table
from agelens.data.datasets.folder import DatasetFolder
from agelens.data.datasets.pairs import PairList, PairTable, pair_table
from agelens.errors import DatasetError
from agelens.tables import SampleTable

_NAME: Final = re.compile(r"(?:^|/)(?P<subject>[^/]+)/(?P=subject)_\d{4}\.\w+$")
_FOLDERS: Final = ("lfw", "lfw-deepfunneled", "lfw_funneled", ".")


def read_lfw(root: str | Path) -> SampleTable:
    """LFW from `lfw/{Name}/{Name}_{0001}.jpg` (Huang et al., 2007).

    Terms: research. Labels: identity only, no age; 13,233 pictures of 5,749 people, of whom
    most have one picture.

    Noise and bias: public figures in news photographs of 2002 to 2004, found by an old face
    detector; mostly men, mostly white, few children and few above 80. A handful of identities are
    known to be wrong.

    Raises:
        DatasetError: there is no such folder, or no picture lies in such folders.
    """
    folder = DatasetFolder(root, "LFW")
    files = folder.pictures(folder.folder(*_FOLDERS))
    rows = named_pictures(folder, files.paths, _NAME, "Abdullah/Abdullah_0001.jpg")
    return sample_table("lfw", rows, files)


def read_lfw_pairs(root: str | Path, *, pairs: str | Path | None = None) -> PairTable:
    """Pairs of LFW: `pairs.txt` (View 2: 10 folds of 300 same and 300 different), or View 1.

    `pairsDevTrain.txt` and `pairsDevTest.txt`, given as `pairs`, start with one count and are
    one fold. Numbers in the lists are without the leading zeros of the file names.

    Args:
        root: the folder given to `read_lfw`.
        pairs: the list; by default `pairs.txt` in the root or beside the pictures.

    Raises:
        DatasetError: the pictures or the list are absent, or the list is of another form.
    """
    folder = DatasetFolder(root, "LFW")
    under = folder.folder(*_FOLDERS)
    files = folder.pictures(under)
    path = folder.file("pairs.txt", f"{under}/pairs.txt") if pairs is None else Path(pairs)
    return pair_table(lfw_pairs(path).under(under), files)


def lfw_pairs(path: Path) -> PairList:
    """The pairs of such a list by themselves; see `read_lfw_pairs`.

    Raises:
        DatasetError: the list is of another form.
    """
    head, *lines = [line.split() for line in read_lines(path)]
    folds, size = _head(path, head, len(lines))
    return PairList(
        tuple(_paths(path, fields) for fields in lines),
        tuple(len(fields) == 3 for fields in lines),
        tuple(row // (2 * size) for row in range(2 * size * folds)),
    )


def _head(path: Path, head: Sequence[str], lines: int) -> tuple[int, int]:
    """Folds, and pairs of either kind in each, checked against the number of lines."""
    if len(head) not in (1, 2) or not "".join(head).isdecimal():
        raise DatasetError(f"{path}: expected counts in the first line, got {' '.join(head)!r}")
    folds, size = (1, int(head[0])) if len(head) == 1 else (int(head[0]), int(head[1]))
    if folds * size * 2 != lines:
        raise DatasetError(
            f"{path}: the first line {' '.join(head)!r} announces {2 * folds * size} pairs, "
            f"{lines} lines follow"
        )
    return folds, size


def _paths(path: Path, fields: Sequence[str]) -> tuple[str, str]:
    if len(fields) not in (3, 4) or not (fields[1] + fields[-1]).isdecimal():
        raise DatasetError(f"{path}: expected 'Name 1 2' or 'Name 1 Other 2', got {fields}")
    one, first, *two = fields
    other, second = two if len(two) == 2 else (one, two[0])
    return _path(one, first), _path(other, second)


def _path(name: str, number: str) -> str:
    return f"{name}/{name}_{int(number):04d}.jpg"
