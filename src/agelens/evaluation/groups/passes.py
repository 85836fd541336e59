"""Which groupings are resampled together.

Groupings measured together share one pass over the draws, at the price of keeping rows apart by
all of their columns at once. Few columns make few such cells; many make nearly as many as
there are rows, and then it is cheaper to draw again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np
import pandas as pd

from agelens.evaluation.bootstrap import Grouping
from agelens.evaluation.bootstrap.groupings import Codes

MOST_CELLS: Final = 30_000
_LARGEST: Final = 2**62

Crossed: TypeAlias = tuple[str, ...]
"""Names of the columns that a grouping crosses; one for a plain column."""


@dataclass(slots=True, eq=False)
class _Pass:
    """Groupings of one pass, the columns that they need, and the cell [N] of each row."""

    crossed: list[Crossed]
    columns: set[str]
    cells: Codes


def passes(
    columns: Mapping[str, Grouping], wanted: Sequence[Crossed], count: int
) -> list[list[Crossed]]:
    """What is wanted of `count` rows in parts, each for one pass."""
    begun: list[_Pass] = []
    for crossed in wanted:
        for one in begun:
            new = {*crossed} - one.columns
            cells = _cells(one.cells, [columns[name] for name in sorted(new)])
            # Sorting would number them; how many there are, hashing says at once.
            if not new or len(pd.unique(cells)) <= MOST_CELLS:
                one.crossed.append(crossed)
                one.columns |= new
                one.cells = cells
                break
        else:
            nobody = np.zeros(count, dtype=np.int64)
            cells = _cells(nobody, [columns[name] for name in crossed])
            begun.append(_Pass([crossed], {*crossed}, cells))
    return [one.crossed for one in begun]


def _cells(cells: Codes, columns: Sequence[Grouping]) -> Codes:
    for column in columns:
        if int(cells.max(initial=0)) >= _LARGEST // (len(column) + 1):
            cells = np.unique(cells, return_inverse=True)[1]
        cells = cells * (len(column) + 1) + column.codes + 1
    return cells
