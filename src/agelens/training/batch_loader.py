"""Batches made ahead by threads, and a place in the epoch that can be saved."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from agelens.data.training_input import ChipBatch
from agelens.training.batch_order import EvaluationOrder, TrainingOrder
from agelens.training.part_chips import PartChips


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
        self, chips: PartChips, order: TrainingOrder | EvaluationOrder, *, workers: int = 1
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

    def __init__(self, chips: PartChips, order: TrainingOrder, *, workers: int = 1) -> None:
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
