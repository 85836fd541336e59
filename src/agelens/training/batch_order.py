"""Which samples make which batch: a function of seed and epoch, for any number of processes.

A batch is a global one. Each process takes its slice of every batch, so that two processes
see between them what one process would see.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import ceil

import numpy as np
from numpy.typing import NDArray

from agelens.errors import UsageError
from agelens.records import Floats

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
