"""Contact sheets of rows that an audit found."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd

from agelens.data.audit.pictures import Root
from agelens.data.explore.contact_sheet import contact_sheet, tile_of
from agelens.data.store.outcomes import picture_source
from agelens.errors import PhotoError
from agelens.evaluation.reports.canvas import save
from agelens.imaging.photos import read_photo
from agelens.tables import BOX, SampleTable

_SHOWN: Final = 48


def save_sheet(
    table: SampleTable, root: Root, ids: pd.Series, captions: Sequence[Sequence[str]], path: Path
) -> tuple[str, ...]:
    """Draw the first pictures of `ids` with their captions; the name of the PNG, if there is any.

    A picture that has gone since is passed over.
    """
    first = ids[:_SHOWN]
    place = pd.Index(table.frame["sample_id"]).get_indexer(pd.Index(first))
    source = picture_source(root, table)
    tiles = []
    for row, lines in zip(place, islice(captions, _SHOWN), strict=False):
        sample = table.frame.iloc[row]
        try:
            rgb = read_photo(source(str(sample["dataset"]), sample["path"])).rgb
        except PhotoError:
            continue
        tiles.append(tile_of(rgb, sample[list(BOX)].to_numpy(dtype=np.float64), lines))
    if not tiles:
        return ()
    save(contact_sheet(tiles), path)
    return (path.name,)
