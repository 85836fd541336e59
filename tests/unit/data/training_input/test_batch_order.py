from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agelens.data.training_input.batches import EvaluationOrder, TrainingOrder
from agelens.errors import UsageError


def batches(order: TrainingOrder | EvaluationOrder, start: int = 0) -> list[list[int]]:
    return [batch.tolist() for batch in order.batches(start)]


@given(samples=st.integers(1, 60), size=st.integers(1, 20), seed=st.integers(0, 5))
def test_an_epoch_sees_every_sample_once_but_for_the_rest(
    samples: int, size: int, seed: int
) -> None:
    order = TrainingOrder(samples, size, seed=seed)
    seen = [one for batch in batches(order) for one in batch]
    assert len(seen) == len(set(seen))
    assert set(seen) <= set(range(samples))
    assert len(seen) > samples - size
    assert len(order) == len(batches(order)) > 0
    assert {len(batch) for batch in batches(order)} == {min(samples, size)}


def test_the_order_follows_from_seed_and_epoch() -> None:
    first, again, other_seed = (TrainingOrder(50, 10, seed=seed) for seed in (1, 1, 2))
    assert batches(first) == batches(again) == batches(first)
    assert batches(first) != batches(other_seed)
    again.set_epoch(1)
    assert batches(first) != batches(again)
    again.set_epoch(0)
    assert batches(first) == batches(again)


def test_batches_begin_where_they_are_told_to() -> None:
    order = TrainingOrder(50, 10, seed=3)
    assert batches(order, 2) == batches(order)[2:]
    assert batches(order, 5) == []


@given(
    processes=st.sampled_from([2, 3]),
    samples=st.integers(6, 60),
    shares=st.integers(1, 5),
    weighted=st.booleans(),
)
def test_processes_share_the_batches_of_one(
    processes: int, samples: int, shares: int, weighted: bool
) -> None:
    size = shares * processes
    weights = np.arange(1.0, samples + 1) if weighted else None
    parts = [
        TrainingOrder(samples, size, weights=weights, process=process, processes=processes)
        for process in range(processes)
    ]
    one = TrainingOrder(samples, parts[0].batch_size, weights=weights)
    joined = [
        [one for part in slices for one in part]
        for slices in zip(*map(batches, parts), strict=True)
    ]
    assert joined == batches(one)


def test_weights_draw_in_proportion() -> None:
    order = TrainingOrder(3, 10, weights=np.array([0.0, 1.0, 3.0]), draws=20_000)
    counts = np.bincount(np.concatenate(list(order.batches())), minlength=3)
    assert counts[0] == 0
    assert counts[2] / counts[1] == pytest.approx(3, rel=0.1)


def test_draws_without_weights_go_round() -> None:
    order = TrainingOrder(4, 2, draws=8)
    counts = np.bincount(np.concatenate(list(order.batches())))
    assert counts.tolist() == [2, 2, 2, 2]


@pytest.mark.parametrize(
    ("samples", "size", "processes", "draws"), [(9, 5, 2, None), (9, 0, 1, None), (9, 3, 1, 0)]
)
def test_impossible_batches_are_refused(
    samples: int, size: int, processes: int, draws: int | None
) -> None:
    with pytest.raises(UsageError):
        TrainingOrder(samples, size, draws=draws, processes=processes)


@given(samples=st.integers(1, 40), size=st.integers(1, 9), processes=st.integers(1, 4))
def test_evaluation_covers_all_and_keeps_step(samples: int, size: int, processes: int) -> None:
    orders = [
        EvaluationOrder(samples, size, process=process, processes=processes)
        for process in range(processes)
    ]
    seen = [one for order in orders for batch in batches(order) for one in batch]
    assert set(seen) == set(range(samples))
    assert len({len(order) for order in orders}) == 1
    assert all(len(batches(order)) == len(order) for order in orders)
    if processes == 1:
        assert seen == list(range(samples))
