from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from agelens.data.store import ChipStore
from agelens.data.training_input import ChipDataset, preset_named
from agelens.data.training_input.batches import (
    EvaluationLoader,
    EvaluationOrder,
    SplitDataset,
    TrainingLoader,
    TrainingOrder,
)


@pytest.fixture(scope="module")
def chips(
    bright_store: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory
) -> SplitDataset:
    store = ChipStore.open(bright_store(tmp_path_factory.mktemp("l") / "bright", samples=22))
    transform = preset_named("regression").for_training(32)
    dataset = ChipDataset(store, transform=transform, labels=("age_years", "age_std"))
    return SplitDataset([dataset], [store.table], {})


def training(chips: SplitDataset, workers: int = 1) -> TrainingLoader:
    return TrainingLoader(chips, TrainingOrder(len(chips), 5, seed=1), workers=workers)


def same(mine, theirs) -> None:
    assert len(mine) == len(theirs)
    for one, other in zip(mine, theirs, strict=True):
        assert torch.equal(one.rows, other.rows)
        assert torch.equal(one.images, other.images)
        assert all(torch.equal(one.labels[k], other.labels[k]) for k in ("age_years",))


@pytest.mark.parametrize("workers", [1, 2, 5])
def test_threads_change_nothing(chips: SplitDataset, workers: int) -> None:
    same(list(training(chips, workers)), list(training(chips, 0)))


def test_epochs_differ_in_order_and_chance_and_come_again(chips: SplitDataset) -> None:
    loader = training(chips)
    first = list(loader)
    loader.sampler.set_epoch(1)
    second = list(loader)
    assert not torch.equal(first[0].rows, second[0].rows)
    loader.sampler.set_epoch(0)
    same(list(loader), first)


def test_it_goes_on_where_its_state_says(chips: SplitDataset) -> None:
    whole = list(training(chips))
    begun = training(chips)
    given = iter(begun)
    next(given)
    next(given)
    state = begun.state_dict()
    assert state == {"epoch": 0, "batches": 2}
    resumed = training(chips)
    resumed.load_state_dict(state)
    rest = list(resumed)
    same(rest, whole[2:])
    assert resumed.state_dict()["batches"] == len(resumed) == 4
    same(list(resumed), whole)  # and only once


def test_a_state_of_an_epoch_that_is_over_does_not_touch_the_next(chips: SplitDataset) -> None:
    loader = training(chips)
    loader.load_state_dict({"epoch": 0, "batches": 4})
    loader.sampler.set_epoch(1)
    assert len(list(loader)) == 4


def test_the_epoch_may_be_set_after_the_iterator_was_asked_for(chips: SplitDataset) -> None:
    late, early = training(chips), training(chips)
    batches = iter(late)
    late.sampler.set_epoch(3)
    early.sampler.set_epoch(3)
    same(list(batches), list(early))


def test_leaving_early_ends_the_threads(chips: SplitDataset) -> None:
    batches = iter(training(chips, workers=2))
    next(batches)
    assert any("batches" in thread.name for thread in threading.enumerate())
    batches.close()  # type: ignore[attr-defined]
    assert not any("batches" in thread.name for thread in threading.enumerate())


def test_an_error_of_a_thread_is_raised(chips: SplitDataset, monkeypatch) -> None:
    def damaged(self, indices):
        raise OSError("torn")

    monkeypatch.setattr(SplitDataset, "batch", damaged)
    with pytest.raises(OSError, match="torn"):
        list(training(chips))


def test_evaluation_is_in_order(chips: SplitDataset) -> None:
    loader = EvaluationLoader(chips, EvaluationOrder(len(chips), 8), workers=2)
    rows = torch.cat([batch.rows for batch in loader])
    assert rows.tolist() == list(range(22))
    assert len(loader) == 3
