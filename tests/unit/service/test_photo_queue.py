"""The queue of photos, with an estimator that answers when it is told to."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import CancelledError
from threading import Event
from types import SimpleNamespace
from typing import Any

import pytest

from agelens.service.photo_queue import PhotoQueue, QueueFullError

WAIT = 30


class Slow:
    """An estimator whose networks begin to answer when `may_answer` is set."""

    def __init__(self) -> None:
        self.may_answer, self.answers = Event(), Event()
        self.may_prepare = Event()
        self.may_prepare.set()
        self.batches: list[list[Any]] = []

    def prepare(self, photo: Any, *, hold: bool = False) -> Any:
        assert self.may_prepare.wait(WAIT)
        if photo == "bad":
            raise ValueError("bad")
        return SimpleNamespace(photo=photo, chips=(0,))

    def answer(self, prepared: Sequence[Any]) -> list[Any]:
        self.answers.set()
        assert self.may_answer.wait(WAIT)
        self.batches.append([one.photo for one in prepared])
        if "broken" in self.batches[-1]:
            raise RuntimeError("broken")
        return [one.photo * 2 for one in prepared]


@pytest.fixture
def slow() -> Slow:
    return Slow()


@pytest.fixture
def queue() -> Iterator[PhotoQueue]:
    queue = PhotoQueue(limit=8, workers=1)
    yield queue
    queue.close()


def test_photos_of_several_requests_share_a_batch(slow: Any, queue: PhotoQueue) -> None:
    first = queue.estimate(slow, ["a"])
    assert slow.answers.wait(WAIT)  # the network is at work: the others gather
    others = [queue.estimate(slow, photos) for photos in (["b", "c"], ["d"], ["e"])]
    queue.run(lambda: None, photos=1).result(WAIT)  # the one reader has read them all
    slow.may_answer.set()
    assert [one.result(WAIT) for one in first] == ["aa"]
    assert [[one.result(WAIT) for one in some] for some in others] == [["bb", "cc"], ["dd"], ["ee"]]
    assert slow.batches == [["a"], ["b", "c", "d", "e"]]


def test_models_do_not_share_a_batch(slow: Any, queue: PhotoQueue) -> None:
    other: Any = Slow()
    first = queue.estimate(slow, ["a"])
    assert slow.answers.wait(WAIT)
    rest = [*queue.estimate(slow, ["b"]), *queue.estimate(other, ["c"]), *queue.estimate(slow, "d")]
    queue.run(lambda: None, photos=1).result(WAIT)
    other.may_answer.set()
    slow.may_answer.set()
    assert [one.result(WAIT) for one in (*first, *rest)] == ["aa", "bb", "cc", "dd"]
    assert (slow.batches, other.batches) == ([["a"], ["b", "d"]], [["c"]])


def test_what_does_not_fit_is_refused_whole_and_room_comes_back(
    slow: Any, queue: PhotoQueue
) -> None:
    answers = queue.estimate(slow, list("abcdef"))
    with pytest.raises(QueueFullError, match="6 of 8 photos"):
        queue.estimate(slow, list("ghi"))
    with pytest.raises(QueueFullError):
        queue.run(lambda: None, photos=3)
    answers += queue.estimate(slow, list("gh"))
    assert queue.photos == 8
    slow.may_answer.set()
    assert [one.result(WAIT) for one in answers] == [2 * name for name in "abcdefgh"]
    assert queue.photos == 0
    assert [one.result(WAIT) for one in queue.estimate(slow, list("12345678"))]


def test_a_failure_reaches_whoever_waits_and_nobody_else(slow: Any, queue: PhotoQueue) -> None:
    slow.may_answer.set()
    (bad,) = queue.estimate(slow, ["bad"])
    with pytest.raises(ValueError, match="bad"):
        bad.result(WAIT)
    (broken,) = queue.estimate(slow, ["broken"])
    with pytest.raises(RuntimeError, match="broken"):
        broken.result(WAIT)
    (good,) = queue.estimate(slow, ["good"])
    assert good.result(WAIT) == "goodgood"
    assert queue.photos == 0


def test_what_is_cancelled_before_it_begins_is_never_read(slow: Any, queue: PhotoQueue) -> None:
    slow.may_prepare.clear()
    slow.may_answer.set()
    first, second, third = queue.estimate(slow, ["a", "b", "c"])
    assert second.cancel()
    assert queue.photos == 2
    slow.may_prepare.set()
    assert (first.result(WAIT), third.result(WAIT)) == ("aa", "cc")
    with pytest.raises(CancelledError):
        second.result(WAIT)
    assert all("b" not in batch for batch in slow.batches)


def test_closing_finishes_what_was_begun(slow: Any) -> None:
    queue = PhotoQueue(limit=8, workers=2)
    answers = queue.estimate(slow, list("abcd"))
    slow.may_answer.set()
    queue.close()
    assert [one.result(0) for one in answers] == ["aa", "bb", "cc", "dd"]
