"""What owners put into file names: a list that leaves people out still names their pictures."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from typing import Final

import numpy as np
from numpy.typing import NDArray

from agelens.data.datasets.agedb import person_key

_AFAD: Final = r"(?:(?P<age>\d+)/11[12]/)?(?P<subject>\d+)-\d+\.\w+$"
_NAMES: Final[dict[str, str]] = {
    "agedb": r"\d+_(?P<subject>[^/]*)_(?P<age>\d+)\s*_[mf]\s*\.\w+$",
    "afad-full": _AFAD,
    "afad-lite": _AFAD,
    "cacd2000": r"(?P<age>\d+)_(?P<subject>[^/]+)_\d+\.\w+$",
    "morph2": r"(?P<subject>\d+)_\d{1,2}[mf](?P<age>\d\d)\.\w+$",
    "fgnet": r"(?P<subject>\d{3})a(?P<age>\d\d)[a-z]?\.\w+$",
    "utkface": r"(?P<age>\d+)_\d_+\d*[^/]*\.\w+$",
    "utkface-wild": r"(?P<age>\d+)_\d_+\d*[^/]*\.\w+$",
}


def subjects_from_names(dataset: str, paths: Iterable[str]) -> list[str | None]:
    """The person [N] in each path, spelled as the dataset's reader spells it, or None."""
    found = [None if match is None else match.get("subject") for match in _groups(dataset, paths)]
    spell = person_key if dataset == "agedb" else _composed
    return [None if name is None else spell(name) for name in found]


def ages_from_names(dataset: str, paths: Iterable[str]) -> NDArray[np.float64]:
    """The age [N] in each path, NaN where it holds none."""
    found = [None if match is None else match.get("age") for match in _groups(dataset, paths)]
    return np.array([np.nan if age is None else float(age) for age in found])


def _groups(dataset: str, paths: Iterable[str]) -> list[dict[str, str | None] | None]:
    if dataset not in _NAMES:
        return [None for _ in paths]
    pattern = re.compile(r"(?:^|/)" + _NAMES[dataset], re.IGNORECASE)
    matches = [pattern.search(path) for path in paths]
    return [None if match is None else match.groupdict() for match in matches]


def _composed(name: str) -> str:
    return unicodedata.normalize("NFC", name)
