"""CACD-VS: pairs of celebrities' pictures for verification across age."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from agelens.data.datasets.base import named_pictures, sample_table
from agelens.data.datasets.folder import DatasetFolder
from agelens.data.datasets.pairs import PairList, PairTable, pair_table, plain_pairs
from agelens.tables import SampleTable

_NAME: Final = re.compile(r"(?:^|/)(?P<pair>\d{4})_[01]\.\w+$")
_FOLDERS: Final = ("CACD_VS", "CACDVS", "CACD-VS", ".")
_PAIRS, _PAIRS_A_FOLD, _SAME_A_FOLD = 4000, 400, 200


def read_cacd_vs(root: str | Path) -> SampleTable:
    """The 8,000 pictures `CACD_VS/{pair}_{0|1}.jpg` of CACD-VS (Chen, Chen and Hsu, 2015).

    Terms: research. Labels: none but same or not the same person: no age, no identity. `fold` is
    the owners' (0 to 9; people differ between folds); `read_cacd_vs_pairs` gives the pairs.

    Noise and bias: celebrities only, checked by hand.

    Raises:
        DatasetError: there is no such folder, or no picture is named so.
    """
    folder = DatasetFolder(root, "CACD-VS")
    files = folder.pictures(folder.folder(*_FOLDERS))
    rows = named_pictures(folder, files.paths, _NAME, "0000_0.jpg")
    rows["fold"] = [None if pair is None else int(pair) // _PAIRS_A_FOLD for pair in rows["pair"]]
    return sample_table("cacd-vs", rows, files)


def read_cacd_vs_pairs(root: str | Path, *, pairs: str | Path | None = None) -> PairTable:
    """The 4,000 pairs of CACD-VS: in each fold of 400, the first 200 are of one person.

    Args:
        root: the folder given to `read_cacd_vs`.
        pairs: a list to read instead, of lines `0000_0.jpg 0000_1.jpg 1`, such as IEFP's
            `CACD_VS_pairs_labels.txt`; its ten equal stretches are the folds.

    Raises:
        DatasetError: there is no such folder, no picture in it, or the list is of another form.
    """
    folder = DatasetFolder(root, "CACD-VS")
    files = folder.pictures(folder.folder(*_FOLDERS))
    listed = cacd_vs_pairs() if pairs is None else plain_pairs(Path(pairs))
    return pair_table(listed.under(files.paths[0].rpartition("/")[0]), files)


def cacd_vs_pairs() -> PairList:
    """The 4,000 pairs by themselves: they follow from the pictures' numbers."""
    numbers = range(_PAIRS)
    return PairList(
        tuple((f"{number:04d}_0.jpg", f"{number:04d}_1.jpg") for number in numbers),
        tuple(number % _PAIRS_A_FOLD < _SAME_A_FOLD for number in numbers),
        tuple(number // _PAIRS_A_FOLD for number in numbers),
    )
