"""Threads with order: what comes out, when it is drawn, and what happens on failure."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier, Event

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agelens.inference.ordered import blocks, ordered_map

WAIT = 30.0  # seconds until a test that would hang fails instead


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(4) as threads:
        yield threads


class Counted:
    """Counts up for ever, and remembers how far it was drawn."""

    def __init__(self) -> None:
        self.drawn = 0

    def __iter__(self) -> Counted:
        return self

    def __next__(self) -> int:
        self.drawn += 1
        return self.drawn - 1


def test_results_come_in_input_order_whatever_finishes_first(pool: ThreadPoolExecutor) -> None:
    second_done = Event()

    def work(item: int) -> int:
        if item == 0:
            assert second_done.wait(WAIT)
        if item == 1:
            second_done.set()
        return item * item

    assert list(ordered_map(pool, work, range(20), window=4)) == [i * i for i in range(20)]


def test_items_are_worked_on_at_the_same_time(pool: ThreadPoolExecutor) -> None:
    together = Barrier(4)
    results = ordered_map(pool, lambda _: together.wait(WAIT), range(4), window=4)
    assert sorted(results) == [0, 1, 2, 3]


def test_the_first_result_waits_for_few_and_the_window_fills_by_and_by(
    pool: ThreadPoolExecutor,
) -> None:
    source = Counted()
    results = ordered_map(pool, int, source, window=8, start=2)
    drawn = []
    for taken, _ in enumerate(itertools.islice(results, 10), start=1):
        drawn.append(source.drawn - taken)  # under way
    assert drawn == [3, 4, 5, 6, 7, 8, 8, 8, 8, 8]


@pytest.mark.parametrize("window", [1, 3, 8])
def test_no_more_than_the_window_is_drawn_ahead(pool: ThreadPoolExecutor, window: int) -> None:
    source = Counted()
    results = ordered_map(pool, lambda item: item, source, window=window)
    assert source.drawn == 0
    for taken in range(1, 50):
        next(results)
        assert source.drawn == window + taken
    results.close()  # type: ignore[attr-defined]


def test_an_endless_source_is_fine(pool: ThreadPoolExecutor) -> None:
    results = ordered_map(pool, lambda item: -item, itertools.count(), window=2)
    assert list(itertools.islice(results, 5)) == [0, -1, -2, -3, -4]


def test_nothing_gives_nothing(pool: ThreadPoolExecutor) -> None:
    assert list(ordered_map(pool, lambda item: item, [], window=2)) == []


def test_a_failure_comes_in_its_turn_and_cancels_what_waits() -> None:
    ran: list[int] = []

    def work(item: int) -> int:
        ran.append(item)
        if item == 2:
            raise ZeroDivisionError
        return item

    with ThreadPoolExecutor(1) as one:
        results = ordered_map(one, work, itertools.count(), window=2)
        assert [next(results), next(results)] == [0, 1]
        with pytest.raises(ZeroDivisionError):
            next(results)
    assert max(ran) <= 3


def test_what_has_not_begun_is_cancelled_when_the_caller_stops() -> None:
    gate, ran = Event(), []

    def work(item: int) -> int:
        ran.append(item)
        if item:
            assert gate.wait(WAIT)
        return item

    with ThreadPoolExecutor(1) as one:
        results = ordered_map(one, work, range(100), window=10)
        assert next(results) == 0
        results.close()  # type: ignore[attr-defined]
        gate.set()
    assert ran in ([0], [0, 1])


@given(st.lists(st.integers(0, 9)), st.integers(1, 12))
def test_blocks_keep_all_items_in_order_and_are_just_full(weights: list[int], limit: int) -> None:
    made = list(blocks(weights, weight=lambda w: w, limit=limit))
    assert [w for block in made for w in block] == weights
    assert all(made)
    for block in made[:-1]:
        assert sum(block) >= limit
    for block in made:
        assert sum(block[:-1]) < limit


def test_blocks_are_lazy() -> None:
    source = Counted()
    assert next(blocks(source, weight=lambda _: 1, limit=3)) == [0, 1, 2]
    assert source.drawn == 3
