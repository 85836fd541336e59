"""Photos of all requests in one bounded queue, their faces in shared batches of the networks.

Threads read photos and find faces; one more runs the networks. While it is at work the faces of
other requests gather, and its next batch takes them all: a lone request never waits for company,
and many small ones cost the networks what one large one does.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from threading import Lock
from typing import TypeVar

from agelens.inference.estimator import AgeEstimator
from agelens.inference.network import BATCH
from agelens.inference.photo_preparation import PhotoLike, PreparedPhoto
from agelens.inference.results import PhotoResult

T = TypeVar("T")


class QueueFullError(Exception):
    """The queue cannot take so many photos now."""


@dataclass(frozen=True, slots=True, eq=False)
class _Prepared:
    """A photo whose faces wait for their network."""

    estimator: AgeEstimator
    photo: PreparedPhoto
    answer: Future[PhotoResult]


class PhotoQueue:
    """Estimates photos in threads; to be used from one thread, such as that of an event loop.

    Args:
        limit: photos that may wait or be worked on.
        workers: threads that read photos and find faces.
        on_batch: told how many faces each batch of a network has.
    """

    def __init__(
        self, limit: int, workers: int, on_batch: Callable[[int], None] = lambda _: None
    ) -> None:
        self.limit = limit
        self._on_batch = on_batch
        self._under_way = 0
        self._lock = Lock()
        self._ready: deque[_Prepared] = deque()
        self._readers = ThreadPoolExecutor(workers, thread_name_prefix="agelens-photos")
        self._networks = ThreadPoolExecutor(1, thread_name_prefix="agelens-networks")

    @property
    def photos(self) -> int:
        """How many wait or are worked on."""
        return self._under_way

    def estimate(
        self, estimator: AgeEstimator, photos: Sequence[PhotoLike], *, hold: bool = False
    ) -> list[Future[PhotoResult]]:
        """Results of `photos`, in order, each of which may be cancelled until it is begun.

        Args:
            estimator: answers.
            photos: as for `AgeEstimator.estimate`.
            hold: the results keep their photos, to draw on them.

        Raises:
            QueueFullError: all of them are refused.
        """
        answers: list[Future[PhotoResult]] = [Future() for _ in photos]
        self._admit(answers)
        for photo, answer in zip(photos, answers, strict=True):
            self._readers.submit(self._prepare, estimator, photo, hold, answer)
        return answers

    def run(self, work: Callable[[], T], *, photos: int) -> Future[T]:
        """`work` on some `photos` of its own, in the same threads and with the same limit.

        Raises:
            QueueFullError: it is refused.
        """
        self._check(photos)
        future = self._readers.submit(work)
        self._count(photos)
        future.add_done_callback(lambda _: self._count(-photos))
        return future

    def close(self) -> None:
        """Finish what was begun, then end the threads."""
        self._readers.shutdown()
        self._networks.shutdown()

    def _admit(self, answers: Sequence[Future[PhotoResult]]) -> None:
        self._check(len(answers))
        self._count(len(answers))
        for answer in answers:
            answer.add_done_callback(lambda _: self._count(-1))

    def _check(self, photos: int) -> None:
        if self._under_way + photos > self.limit:
            raise QueueFullError(f"{self._under_way} of {self.limit} photos are under way")

    def _count(self, change: int) -> None:
        with self._lock:  # photos are finished in other threads
            self._under_way += change

    def _prepare(
        self, estimator: AgeEstimator, photo: PhotoLike, hold: bool, answer: Future[PhotoResult]
    ) -> None:
        if not answer.set_running_or_notify_cancel():
            return
        try:
            prepared = estimator.prepare(photo, hold=hold)
        except Exception as error:  # noqa: BLE001 - whoever waits for the photo is told
            answer.set_exception(error)
            return
        self._ready.append(_Prepared(estimator, prepared, answer))
        self._networks.submit(self._answer_ready)

    def _answer_ready(self) -> None:
        """Answer the photos that are ready, up to a batch; more often called than needed."""
        blocks: dict[AgeEstimator, list[_Prepared]] = {}
        faces = 0
        while self._ready and faces < BATCH:
            one = self._ready.popleft()
            faces += len(one.photo.chips)
            blocks.setdefault(one.estimator, []).append(one)
        for estimator, block in blocks.items():
            self._answer(estimator, block)

    def _answer(self, estimator: AgeEstimator, block: Sequence[_Prepared]) -> None:
        try:
            results = estimator.answer([one.photo for one in block])
        except Exception as error:  # noqa: BLE001 - whoever waits for the photos is told
            for one in block:
                one.answer.set_exception(error)
            return
        self._on_batch(sum(len(one.photo.chips) for one in block))
        for one, result in zip(block, results, strict=True):
            one.answer.set_result(result)
