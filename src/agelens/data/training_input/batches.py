"""Batches made ahead by threads, and a place in the epoch that can be saved."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from math import ceil
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from agelens.data.splits.split import places
from agelens.data.training_input import ChipBatch, ChipDataset
from agelens.data.training_input.chip_dataset import CODED, Words
from agelens.errors import UsageError
from agelens.records import Floats
from agelens.tables import SampleTable

Indices = NDArray[np.int64]


class TrainingOrder:
    """Random batches of an epoch; equal (seed, epoch) give equal batches, everywhere.

    What is left of an epoch after whole batches is not seen in that epoch: a batch of one
    would weigh as much as one of 64. Fewer samples than a batch make one batch of all.

    Args:
        samples: how many there are.
        batch_size: of a global batch.
        seed: of the order.
        weights: how often to draw each sample [samples], with replacement; None takes each
            sample once an epoch.
        draws: samples an epoch, as many as there are by default. Without weights, one
            random order follows another until there are enough.
        process: number of this process...
        processes: ...of how many.

    Raises:
        UsageError: the batch size is not a multiple of the number of processes, or it or
            `draws` is below 1.
    """

    def __init__(
        self,
        samples: int,
        batch_size: int,
        *,
        seed: int = 0,
        weights: Floats | None = None,
        draws: int | None = None,
        process: int = 0,
        processes: int = 1,
    ) -> None:
        self.samples = samples
        self.draws = samples if draws is None else draws
        if batch_size < 1 or self.draws < 1:
            raise UsageError(f"batch size and draws start at 1, got {batch_size} and {self.draws}")
        if batch_size % processes:
            raise UsageError(
                f"a batch of {batch_size} cannot be shared evenly by {processes} processes; make "
                "--data.batch_size a multiple of their number"
            )
        self.batch_size = min(batch_size, self.draws // processes * processes)
        self.seed = seed
        self.chances = None if weights is None else weights / weights.sum()
        self.process = process
        self.processes = processes
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """The epoch whose batches `batches` gives."""
        self.epoch = epoch

    def __len__(self) -> int:
        """Batches an epoch."""
        return self.draws // self.batch_size

    def batches(self, start: int = 0) -> Iterator[Indices]:
        """This process's slice of each batch of the epoch, from batch `start` on."""
        order = self._order()
        share = self.batch_size // self.processes
        for batch in range(start, len(self)):
            first = batch * self.batch_size + self.process * share
            yield order[first : first + share]

    def _order(self) -> Indices:
        chance = np.random.default_rng([self.seed, self.epoch])
        if self.chances is not None:
            return chance.choice(self.samples, self.draws, p=self.chances)
        rounds = ceil(self.draws / self.samples)
        return np.concatenate([chance.permutation(self.samples) for _ in range(rounds)])


class EvaluationOrder:
    """Every sample once and in order; each process takes one stretch of them.

    All stretches are equally long, so that processes stay in step: the last ones begin anew
    at the first sample, and who gathers the answers drops what came twice.

    Args:
        samples: how many there are.
        batch_size: samples that a process takes at a time.
        process: number of this process...
        processes: ...of how many.
    """

    def __init__(
        self, samples: int, batch_size: int, *, process: int = 0, processes: int = 1
    ) -> None:
        self.samples = samples
        self.batch_size = batch_size
        self.stretch = ceil(samples / processes)
        self.first = process * self.stretch

    def __len__(self) -> int:
        return ceil(self.stretch / self.batch_size)

    def batches(self, start: int = 0) -> Iterator[Indices]:
        """The batches of this process, from batch `start` on."""
        mine = np.arange(self.first, self.first + self.stretch, dtype=np.int64) % self.samples
        for batch in range(start, len(self)):
            yield mine[batch * self.batch_size : (batch + 1) * self.batch_size]


CHANCE_ROWS: Final = 16
"""So many neighbours in a batch are augmented together. A batch that several processes share
is cut between such groups, so that its chances do not hang on how many they are."""


class SplitDataset:
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
    return table.select(places(held, table.frame["sample_id"]))


def _recode(data: ChipDataset, column: str, words: tuple[str, ...]) -> None:
    """Number the words of a column by `words`; others become unknown."""
    place = {word: code for code, word in enumerate(words)}
    moved = [place.get(word, -1) for word in data.classes[column]]
    data.labels[column] = torch.tensor([*moved, -1])[data.labels[column]]
    data.classes[column] = words


def check_counts(*, workers: int, **sizes: int) -> None:
    """Refuse numbers that make no sense before anything is opened.

    Raises:
        UsageError: fewer than 0 workers, or a size below 1; the message names it.
    """
    if workers < 0:
        raise UsageError(f"workers start at 0, got {workers}")
    for name, size in sizes.items():
        if size < 1:
            raise UsageError(f"{name} starts at 1, got {size}")


class EvaluationLoader:
    """The batches of an order, decoded and transformed by threads while the model works.

    Decoding and torch's kernels run without Python's lock, so threads do what worker
    processes do, without copying batches between processes.

    Args:
        chips: what makes a batch.
        order: which samples a batch has.
        workers: threads; 0 makes each batch when it is asked for.
    """

    batch_sampler = None  # Lightning looks whether a loader for evaluation shuffles

    def __init__(
        self, chips: SplitDataset, order: TrainingOrder | EvaluationOrder, *, workers: int = 1
    ) -> None:
        self.chips = chips
        self.order = order
        self.workers = workers

    def __len__(self) -> int:
        return len(self.order)

    def __iter__(self) -> Iterator[ChipBatch]:
        return self._batches(0)

    def _batches(self, start: int) -> Iterator[ChipBatch]:
        if not self.workers:
            yield from map(self.chips.batch, self.order.batches(start))
            return
        ahead: deque[Future[ChipBatch]] = deque()
        # Torch's threads are left as they are: set to 1 in here, the model is twice as slow.
        pool = ThreadPoolExecutor(self.workers, thread_name_prefix="batches")
        try:
            for indices in self.order.batches(start):
                ahead.append(pool.submit(self.chips.batch, indices))
                if len(ahead) > self.workers:
                    yield ahead.popleft().result()
            while ahead:
                yield ahead.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)


class TrainingLoader(EvaluationLoader):
    """A loader that knows how far its epoch has come, and goes on from there.

    Lightning sets the epoch on `sampler`, and saves and restores `state_dict`.
    """

    order: TrainingOrder

    def __init__(self, chips: SplitDataset, order: TrainingOrder, *, workers: int = 1) -> None:
        super().__init__(chips, order, workers=workers)
        self.sampler = order
        self._given = 0
        self._resume: dict[str, Any] = {}

    def __iter__(self) -> Iterator[ChipBatch]:
        # A generator: Lightning asks for an iterator before it sets the epoch.
        epoch = self.order.epoch
        resumed = self._resume.get("epoch") == epoch
        self._given = self._resume["batches"] if resumed else 0
        self._resume = {}
        self.chips.set_epoch(epoch)
        for batch in self._batches(self._given):
            self._given += 1
            yield batch

    def state_dict(self) -> dict[str, Any]:
        """The epoch, and how many of its batches were given."""
        return {"epoch": self.order.epoch, "batches": self._given}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on behind the batches that `state` counts, once its epoch is begun."""
        self._resume = dict(state)
