"""Opening a store: its chips, its labels, and proof that both are whole."""

from __future__ import annotations

from functools import cached_property
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from agelens.data.formats.ldl import ROTATED_BOX
from agelens.data.store.card import CARD_NAME, StoreCard, check_shard, decode_chip
from agelens.data.store.journal import IMAGE, JOURNAL_NAME, OUTCOME_TYPES, open_shard
from agelens.errors import DatasetError, PhotoError
from agelens.records import RGB
from agelens.tables import COLUMNS, SampleTable

if TYPE_CHECKING:
    import datasets

_TEXT = pd.StringDtype("pyarrow")


class ChipStore:
    """A prepared store, mapped into memory; safe to share between threads and to pickle.

    Rows are numbered as in the table that it was made from. Open one with `open`.
    """

    def __init__(self, folder: Path, card: StoreCard) -> None:
        self.folder = folder
        self.card = card
        self._shards = [open_shard(folder / shard.file) for shard in card.shards]
        self._starts = np.cumsum([0, *(shard.num_rows for shard in self._shards)])
        self._chips = [shard[IMAGE].chunk(0).field("bytes") for shard in self._shards]
        for shard, entry in zip(self._shards, card.shards, strict=True):
            if shard.num_rows != entry.rows:
                raise DatasetError(
                    f"{folder / entry.file}: {shard.num_rows} rows, not {entry.rows}"
                )

    @classmethod
    def open(cls, folder: str | Path, *, verify: bool = True) -> Self:
        """The store in `folder`.

        Args:
            folder: what `prepare` made.
            verify: read every shard and check its hash; False checks sizes only.

        Raises:
            DatasetError: no store; one not finished, or made by another version; or a shard
                that is missing or changed, which the message names.
        """
        folder = Path(folder)
        if not (folder / CARD_NAME).is_file():
            why = "this is none: make one of a table with agelens data prepare"
            if not folder.exists():
                why = "nothing is there: make one with agelens data prepare"
            elif (folder / JOURNAL_NAME).is_file():
                why = "this is not finished: prepare it again with the same options"
            raise DatasetError(f"{folder}: expected a chip store, and {why}")
        card = StoreCard.read(folder)
        for entry in card.shards:
            check_shard(folder, entry, content=verify)
        return cls(folder, card)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.folder, self.card)

    def __len__(self) -> int:
        return int(self._starts[-1])

    def __fspath__(self) -> str:
        return str(self.folder)

    def __repr__(self) -> str:
        what = f"{self.card.statuses.get('ok', 0):,} chips of {self.size} pixels"
        return f"ChipStore({self.folder}: {what}; {self.table.summary()})"

    def _repr_html_(self) -> str:
        return f"<p>{escape(repr(self))}</p>"

    def __getitem__(self, row: int) -> RGB:
        """The chip of `row`, uint8 [S, S, 3].

        Raises:
            IndexError: no such row.
            PhotoError: the row has no chip; its status and message say why.
            DatasetError: the chip is damaged, which `verify` finds on opening.
        """
        return self.decode_into(row, None)

    @property
    def size(self) -> int:
        """Side of every chip in pixels."""
        return int(self.card.settings["size"])

    def decode_into(self, row: int, out: RGB | None) -> RGB:
        """As `store[row]`, decoded into `out` uint8 [S, S, 3]."""
        shard, local = self._place(row)
        encoded = self._chips[shard][local]
        if not encoded.is_valid:
            status, why = (self._shards[shard][n][local].as_py() for n in ("status", "message"))
            raise PhotoError(f"row {row} of {self.folder} has no chip: {why}", status=status)
        chip = decode_chip(encoded.as_buffer(), out)
        if chip is None:
            raise DatasetError(
                f"{self.folder / self.card.shards[shard].file}: row {local} holds no chip of "
                f"{self.size} pixels; open the store with verify=True"
            )
        return chip

    @cached_property
    def table(self) -> SampleTable:
        """The sample table with box, roll and landmarks of the chosen faces written back.

        Rows without a chip keep what was labelled, and extra columns of the table that the
        store was made from are kept. A store prepared by two passes has the extra columns
        `rotated_x1` to `rotated_y2`: the box in the photo turned by `roll_degrees`, as LDL lists
        have it.
        """
        own = (*COLUMNS, *OUTCOME_TYPES, IMAGE)
        extra = [name for name in self._shards[0].column_names if name not in own]
        if self.card.settings["alignment"] == "rotate-crop":
            extra += ROTATED_BOX
        return SampleTable(self._columns((*COLUMNS, *extra)), tuple(extra))

    @cached_property
    def outcomes(self) -> pd.DataFrame:
        """What became of each row: `status`, `message`, `detection_score`, `faces` found."""
        return self._columns(("status", "message", "detection_score", "faces"))

    @property
    def has_chip(self) -> NDArray[np.bool_]:
        """Whether each row has a chip, [N]."""
        valid = [chips.is_valid().to_numpy(zero_copy_only=False) for chips in self._chips]
        return np.concatenate(valid)

    @cached_property
    def dataset(self) -> datasets.Dataset:
        """The store as a `datasets.Dataset`; its `image` column decodes to PIL images."""
        from datasets import Dataset, concatenate_datasets  # noqa: PLC0415 - takes seconds

        files = [str(self.folder / shard.file) for shard in self.card.shards]
        return concatenate_datasets([Dataset.from_file(file) for file in files])

    def _columns(self, names: tuple[str, ...]) -> pd.DataFrame:
        arrow = pa.concat_tables([shard.select(list(names)) for shard in self._shards])
        frame: pd.DataFrame = arrow.to_pandas(types_mapper={pa.string(): _TEXT}.get)
        return frame

    def _place(self, row: int) -> tuple[int, int]:
        if not -len(self) <= row < len(self):
            raise IndexError(f"row {row} of a store of {len(self)}")
        row %= len(self)
        shard = int(np.searchsorted(self._starts, row, side="right")) - 1
        return shard, row - int(self._starts[shard])
