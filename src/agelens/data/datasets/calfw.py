"""CALFW, Cross-Age LFW: pairs of LFW's people years apart."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from agelens.data.datasets.base import named_pictures, read_lines, sample_table
from agelens.data.datasets.folder import DatasetFolder
from agelens.data.datasets.pairs import PairList, PairTable, pair_table, plain_pairs
from agelens.errors import DatasetError
from agelens.tables import SampleTable

_NAME: Final = re.compile(r"(?:^|/)(?P<subject>[^/]+)_\d{4}\.\w+$")
_LIST: Final = "pairs_CALFW.txt"
_IEFP_FOLDER: Final = "processed_CALFW_2"
_IEFP_LIST: Final = "CALFW_img_pairs_labels.txt"
_FOLDS: Final = 10


def read_calfw(root: str | Path, *, aligned: bool = True) -> SampleTable:
    """CALFW from `calfw/aligned images/{Name}_{0001}.jpg` (Zheng, Deng and Hu, 2017).

    IEFP's `CALFW/processed_CALFW_2` is read as well.

    Terms: research. Labels: identity only, no age. Noise and bias: people of LFW, public figures,
    mostly men and mostly white; older and younger pictures come from a web search.

    Args:
        root: folder that holds `calfw`, or `calfw` itself.
        aligned: read `aligned images`, else `images`.

    Raises:
        DatasetError: there is no such folder, or no picture is named so.
    """
    folder = DatasetFolder(root, "CALFW")
    files = folder.pictures(_pictures_folder(folder, aligned))
    rows = named_pictures(folder, files.paths, _NAME, "Carl_Reiner_0001.jpg")
    return sample_table("calfw", rows, files)


def read_calfw_pairs(root: str | Path, *, aligned: bool = True) -> PairTable:
    """The pairs of `pairs_CALFW.txt`, 3,000 of one person and then 3,000 of two.

    Where only IEFP's copy is there, its list `CALFW_img_pairs_labels.txt` is read, which has the
    folds in its order.

    Raises:
        DatasetError: pictures or list are absent, or the list is of another form.
    """
    folder = DatasetFolder(root, "CALFW")
    under = _pictures_folder(folder, aligned)
    path = folder.file(*_either_place(_LIST), *_either_place("txts/" + _IEFP_LIST, _IEFP_LIST))
    listed = calfw_pairs(path) if path.name.casefold() == _LIST.casefold() else plain_pairs(path)
    return pair_table(listed.under(under), folder.pictures(under))


def calfw_pairs(path: Path) -> PairList:
    """The pairs of CALFW's own list by themselves.

    Two lines are a pair. Their number is the fold from 1 where both are one person; it is 0 for two
    people, whose folds are equal stretches in the order of the list.

    Raises:
        DatasetError: the list is of another form.
    """
    entries = [line.rsplit(maxsplit=1) for line in read_lines(path)]
    tokens = [_token(path, row, entry) for row, entry in enumerate(entries)]
    if len(entries) % 2 or tokens[::2] != tokens[1::2]:
        raise DatasetError(f"{path}: two lines are a pair and carry one number; these do not")
    names = [name for name, _ in entries]
    same = tuple(token > 0 for token in tokens[::2])
    pairs = tuple(zip(names[::2], names[1::2], strict=True))
    return PairList(pairs, same, tuple(_folds(path, tokens[::2])))


def _either_place(*names: str) -> list[str]:
    """Below the owner's folder, or the root is that folder."""
    return [place for name in names for place in (f"calfw/{name}", name)]


def _pictures_folder(folder: DatasetFolder, aligned: bool) -> str:
    # IEFP ships aligned pictures, under a name of its own.
    names = ("aligned images", _IEFP_FOLDER) if aligned else ("images",)
    return folder.folder(*_either_place(*names))


def _token(path: Path, row: int, entry: list[str]) -> int:
    if len(entry) != 2 or not entry[1].isdecimal() or int(entry[1]) > _FOLDS:
        raise DatasetError(f"{path}, line {row + 1}: expected a file and 0 to {_FOLDS}: {entry}")
    return int(entry[1])


def _folds(path: Path, tokens: list[int]) -> list[int]:
    different = tokens.count(0)
    if different % _FOLDS:
        raise DatasetError(f"{path}: {different} pairs of two people do not make {_FOLDS} folds")
    stretch = iter(range(different))
    return [token - 1 if token else next(stretch) * _FOLDS // different for token in tokens]
