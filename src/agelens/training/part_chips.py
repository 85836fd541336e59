"""The chips of one part of a split, from one store or from several."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import torch
from torch import Tensor

from agelens.data.splits.split import places
from agelens.data.training_input import ChipBatch, ChipDataset
from agelens.data.training_input.chip_dataset import CODED
from agelens.errors import UsageError
from agelens.tables import SampleTable
from agelens.training.batch_order import Indices
from agelens.training.network_input import Words

CHANCE_ROWS: Final = 16
"""So many neighbours in a batch are augmented together. A batch that several processes share
is cut between such groups, so that its chances do not hang on how many they are."""


class PartChips:
    """The samples of a part, numbered through its stores, in batches with their labels.

    `table` has the labels of every sample, in order; `left_out` counts the rows that cannot
    be learned from, by reason. `rows` of a batch are places in `table`.

    Args:
        datasets: one a store.
        tables: the rows that each was made of.
        words: vocabulary by column, so that all parts number words alike.
    """

    def __init__(
        self,
        datasets: Sequence[ChipDataset],
        tables: Sequence[SampleTable],
        words: Words,
    ) -> None:
        self.datasets = list(datasets)
        self.starts = np.cumsum([0, *map(len, datasets)])
        self.table = SampleTable.concat(
            [_taken(data, table) for data, table in zip(datasets, tables, strict=True)]
        )
        self.left_out: dict[str, int] = {}
        for data in datasets:
            for reason, count in data.left_out.items():
                self.left_out[reason] = self.left_out.get(reason, 0) + count
            for column, vocabulary in words.items():
                _recode(data, column, vocabulary)

    def __len__(self) -> int:
        return int(self.starts[-1])

    @property
    def age_years(self) -> Tensor:
        """Ages float32 [N]."""
        return self.labels("age_years")

    def labels(self, name: str) -> Tensor:
        """One column [N]: years, or codes of words."""
        return torch.cat([data.labels[name] for data in self.datasets])

    def groups(self, column: str) -> list[str]:
        """The words of a column of the table [N]; "" where one is unknown.

        Raises:
            UsageError: the table has no such column of words, or it is empty.
        """
        if column not in CODED or self.table.frame[column].isna().all():
            known = [name for name in CODED if self.table.frame[name].notna().any()]
            raise UsageError(
                f"no {column!r} is known of the samples to train on; columns of words that "
                f"have some: {', '.join(known)}"
            )
        return self.table.frame[column].astype(object).fillna("").tolist()

    def sample_ids(self, rows: Tensor) -> list[str]:
        """The samples that a batch's `rows` are."""
        return [str(name) for name in self.table.frame["sample_id"].iloc[rows.tolist()]]

    def set_epoch(self, epoch: int) -> None:
        """New chances for the augmentation, the same for an epoch's number."""
        for data in self.datasets:
            data.set_epoch(epoch)

    def batch(self, indices: Indices) -> ChipBatch:
        """The samples at `indices` [B], with their places as rows."""
        groups = [
            self._group(indices[at : at + CHANCE_ROWS])
            for at in range(0, len(indices), CHANCE_ROWS)
        ]
        return _joined(groups, torch.from_numpy(indices))

    def _group(self, indices: Indices) -> ChipBatch:
        home = np.searchsorted(self.starts, indices, side="right") - 1
        stores = np.unique(home)
        parts = [
            self.datasets[store].__getitems__(
                (indices[home == store] - self.starts[store]).tolist()
            )
            for store in stores
        ]
        if len(parts) == 1:
            return ChipBatch(*parts[0])
        places = np.concatenate([np.flatnonzero(home == store) for store in stores])
        back = torch.from_numpy(np.argsort(places))
        whole = _joined(parts, torch.from_numpy(indices))
        labels = {name: values[back] for name, values in whole.labels.items()}
        return ChipBatch(whole.images[back], labels, whole.rows)


def _joined(parts: Sequence[ChipBatch], rows: Tensor) -> ChipBatch:
    if len(parts) == 1:
        return parts[0]._replace(rows=rows)
    labels = {name: torch.cat([part.labels[name] for part in parts]) for name in parts[0].labels}
    return ChipBatch(torch.cat([part.images for part in parts]), labels, rows)


def _taken(data: ChipDataset, table: SampleTable) -> SampleTable:
    """The rows of `table` that `data` took."""
    held = data.store.table.frame["sample_id"].iloc[data.rows]
    return SampleTable(table.frame.iloc[places(held, table.frame["sample_id"])], table.extra)


def _recode(data: ChipDataset, column: str, words: tuple[str, ...]) -> None:
    """Number the words of a column by `words`; others become unknown."""
    place = {word: code for code, word in enumerate(words)}
    moved = [place.get(word, -1) for word in data.classes[column]]
    data.labels[column] = torch.tensor([*moved, -1])[data.labels[column]]
    data.classes[column] = words
