"""The three settings in which papers report on MORPH Album 2.

As the paper of Deep Regression Forests lists them (Shen et al., CVPR 2018). They go by
picture, so most people of a test part are in its train part too, and a result must name
the setting. The published lists are not public: the draws here follow the rules only.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from agelens.data.splits.split import Split, deal, fingerprints, seeded
from agelens.errors import TableError
from agelens.tables import SampleTable

_SHARES: Final = {"train": 0.8, "test": 0.2}
_THIRDS: Final = {"0": 1 / 3, "1": 1 / 3, "2": 1 / 3}

Rows = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class MorphSetting1:
    """Setting I: 5,492 pictures of White people, random 80/20, five times.

    Where the table has more, `seed` draws the pictures once for all repeats.
    """

    pictures: int = 5492
    repeats: int = 5

    name: ClassVar[str] = "morph-setting-1"
    summary: ClassVar[str] = "MORPH setting I: 5,492 White pictures, 80/20 by picture, 5 times"
    by_subject: ClassVar[bool] = False

    def __call__(
        self,
        table: SampleTable,
        *,
        seed: int = 0,
        duplicates: pd.Series | None = None,  # noqa: ARG002 - every protocol takes it
    ) -> tuple[Split, ...]:
        """`repeats` splits; `duplicates` change nothing, since the setting goes by picture.

        Raises:
            TableError: no picture is of a White person.
        """
        white = np.flatnonzero(table.frame["ethnicity"] == "White")
        if not len(white):
            raise _no_cells(table, "White people")
        prints = fingerprints(table.frame["sample_id"])
        rows = white[np.argsort(seeded(prints[white], seed))][: self.pictures]
        note = f"{len(rows)} of {len(white)} pictures of White people, drawn with seed {seed}"
        return _repeated(
            self.name, table, prints, rows, repeats=self.repeats, seed=seed, notes=(note,)
        )


@dataclass(frozen=True, slots=True)
class MorphSetting2:
    """Setting II: all pictures, random 80/20, five times."""

    repeats: int = 5

    name: ClassVar[str] = "morph-setting-2"
    summary: ClassVar[str] = "MORPH setting II: all pictures, 80/20 by picture, 5 times"
    by_subject: ClassVar[bool] = False

    def __call__(
        self,
        table: SampleTable,
        *,
        seed: int = 0,
        duplicates: pd.Series | None = None,  # noqa: ARG002 - every protocol takes it
    ) -> tuple[Split, ...]:
        """`repeats` splits; `duplicates` change nothing, since the setting goes by picture."""
        prints = fingerprints(table.frame["sample_id"])
        rows = np.arange(len(table))
        return _repeated(self.name, table, prints, rows, repeats=self.repeats, seed=seed)


@dataclass(frozen=True, slots=True)
class MorphSetting3:
    """Setting III: about 21,000 pictures, as many Black as White and one woman to three men.

    They fall into three random parts of the same make-up; each is the train part once, and
    the other two are tested. (The lists of Shin et al., CVPR 2022, have 7,000 in each.) Where
    the table holds too few of a cell, all cells shrink alike.
    """

    pictures: int = 21_000

    name: ClassVar[str] = "morph-setting-3"
    summary: ClassVar[str] = "MORPH setting III: 21,000 pictures, B:W 1:1, F:M 1:3, 3 folds"
    by_subject: ClassVar[bool] = False

    def __call__(
        self,
        table: SampleTable,
        *,
        seed: int = 0,
        duplicates: pd.Series | None = None,  # noqa: ARG002 - every protocol takes it
    ) -> tuple[Split, ...]:
        """Three splits; `duplicates` change nothing, since the setting goes by picture.

        Raises:
            TableError: a cell of race and gender is empty.
        """
        prints = seeded(fingerprints(table.frame["sample_id"]), seed)
        cells = self._cells(table, prints)
        third = np.full(len(table), -1, dtype=np.int8)
        for rows in cells:
            third[rows] = deal(prints[rows], np.ones(len(rows), np.int64), _THIRDS)
        drawn = int((third >= 0).sum())
        note = f"{drawn} pictures drawn with seed {seed}; trained on a third, tested on two"
        ids, parts = table.frame["sample_id"], ("train", "test")
        codes = [np.where(third < 0, -1, third != fold).astype(np.int8) for fold in range(3)]
        return tuple(
            Split(f"fold_{fold}", ids, parts, codes[fold], self.name, seed, (note,))
            for fold in range(3)
        )

    def _cells(self, table: SampleTable, prints: NDArray[np.uint64]) -> list[Rows]:
        frame = table.frame
        found = {
            (race, gender): np.flatnonzero(
                (frame["ethnicity"] == race) & (frame["gender"] == gender)
            )
            for race in ("Black", "White")
            for gender in ("female", "male")
        }
        weight = {"female": 1, "male": 3}
        least = min(len(rows) // weight[gender] for (_, gender), rows in found.items())
        size = min(self.pictures // 8, least)
        if not size:
            raise _no_cells(table, "Black and of White women and men, three men to a woman,")
        return [
            rows[np.argsort(prints[rows])][: size * weight[gender]]
            for (_, gender), rows in found.items()
        ]


def _repeated(
    protocol: str,
    table: SampleTable,
    prints: NDArray[np.uint64],
    rows: Rows,
    *,
    repeats: int,
    seed: int,
    notes: tuple[str, ...] = (),
) -> tuple[Split, ...]:
    splits = []
    for number in range(seed, seed + repeats):
        codes = np.full(len(table), -1, dtype=np.int8)
        codes[rows] = deal(seeded(prints[rows], number), np.ones(len(rows), np.int64), _SHARES)
        ids = table.frame["sample_id"]
        splits.append(Split(f"seed_{number}", ids, (*_SHARES,), codes, protocol, number, notes))
    return tuple(splits)


def _no_cells(table: SampleTable, who: str) -> TableError:
    words = ", ".join(table.frame["ethnicity"].cat.categories) or "none"
    return TableError(
        f"the table has no pictures of {who} which this MORPH setting is about; the words in its "
        f"column ethnicity are: {words}. Read MORPH with its CSV, which holds the race"
    )
