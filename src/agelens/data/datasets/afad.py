"""AFAD, the Asian Face Age Dataset, in its full and its light edition."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from agelens.data.datasets.base import named_pictures, numbers, read_lines, sample_table, words
from agelens.data.datasets.folder import DatasetFolder
from agelens.tables import SampleTable

_NAME: Final = re.compile(r"(?:^|/)(?P<age>\d+)/(?P<sex>111|112)/(?P<subject>\d+)-\d+\.\w+$")
_SEX: Final = {"111": "male", "112": "female"}


def read_afad_full(root: str | Path) -> SampleTable:
    """AFAD-Full from its folders `{age}/{111 male|112 female}/{user}-{k}.jpg` (Niu et al., 2016).

    Terms: the owners ask for a citation of Niu et al., CVPR 2016; treat as research only.
    Labels: real age by self-reported date of birth on the RenRen network; the paper counts
    164,432 pictures of ages 15 to 40 (lists in use hold 164,418), and the archive has further
    folders up to 75.

    Noise and bias: students, nearly all East Asian and 15 to 40; dates of birth are what users
    typed; several pictures of a user share one label; many pictures are tiny (20 x 20). The
    number before `-` stands for the user and is the subject here.

    A picture that the owner's `AFAD-Full.txt` names and that is not on disk is a row with the
    issue "file absent".

    Raises:
        DatasetError: there is no such folder, or no picture lies in such folders.
    """
    return _read(root, "afad-full", "AFAD-Full")


def read_afad_lite(root: str | Path) -> SampleTable:
    """AFAD-Lite: 59,344 pictures of AFAD, ages 18 to 39; all else as in `read_afad_full`.

    Terms, labels, noise and bias are those of `read_afad_full`.

    Raises:
        DatasetError: there is no such folder, or no picture lies in such folders.
    """
    return _read(root, "afad-lite", "AFAD-Lite")


def _read(root: str | Path, dataset: str, edition: str) -> SampleTable:
    folder = DatasetFolder(root, edition)
    under = folder.folder(edition, ".")
    files = folder.pictures(under)
    absent = [path for path in _listed(folder, under, edition) if files.find(path) is None]
    rows = named_pictures(folder, [*files.paths, *absent], _NAME, "15/111/638660-1.jpg")
    rows["age_years"] = numbers(rows, "age")
    rows["gender"] = words(rows, "sex", _SEX)
    return sample_table(dataset, rows, files, age_kind="real")


def _listed(folder: DatasetFolder, under: str, edition: str) -> list[str]:
    """Paths in the owner's list, where the archive came with it."""
    found = folder.find(f"{under}/{edition}.txt")
    lines = [] if found is None else read_lines(folder.root / found)
    prefix = "" if under == "." else f"{under}/"
    return [prefix + line.strip().removeprefix("./") for line in lines if line.strip()]
