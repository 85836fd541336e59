"""The unified benchmark's names of datasets, and agelens's."""

from __future__ import annotations

from typing import Final

UNIFIED_NAMES: Final = {
    "AFAD-Full": "afad-full",
    "AgeDB": "agedb",
    "CACD2000": "cacd2000",
    "CLAP2016": "lap2016",
    "FG-NET": "fgnet",
    "IMDB-CLEAN-FP-AGE": "imdb-clean",
    "IMDB-EM-CNN": "imdb",
    "MORPH": "morph2",
    "UTKFace": "utkface-wild",
}

ONE_SPLIT: Final = frozenset({"cacd2000", "lap2016", "imdb-clean"})
"""Datasets whose owner split them: folder 0 is train, 1 is valid, 2 is test."""

_BY_FOLDED: Final = {name.casefold(): ours for name, ours in UNIFIED_NAMES.items()}


def dataset_of(*names: str) -> str:
    """The agelens name of the first of `names` that is known; the first, folded, if none is."""
    known = [_BY_FOLDED[name.casefold()] for name in names if name.casefold() in _BY_FOLDED]
    return known[0] if known else names[0].casefold()


def unified_name(dataset: str) -> str:
    """The benchmark's name of an agelens dataset; its own name where the benchmark has none."""
    return next((name for name, ours in UNIFIED_NAMES.items() if ours == dataset), dataset)
