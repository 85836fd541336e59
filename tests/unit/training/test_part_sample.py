"""Chips of a part as its store has them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from agelens.data.store import ChipStore
from agelens.data.training_input import ChipDataset, preset_named
from agelens.data.training_input.batches import SplitDataset
from agelens.training.run_export import PartSample


@pytest.fixture(scope="module")
def part(
    bright_store: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory
) -> SplitDataset:
    """Forty samples of one store and thirty of another."""
    folder = tmp_path_factory.mktemp("part")
    stores = [
        ChipStore.open(bright_store(folder / name, samples=samples, seed=samples))
        for name, samples in (("first", 40), ("second", 30))
    ]
    transform = preset_named("regression").for_evaluation(48)
    labels = ("age_years", "age_std")
    datasets = [ChipDataset(store, labels=labels, transform=transform) for store in stores]
    return SplitDataset(datasets, [store.table for store in stores], {})


@pytest.mark.parametrize(
    ("at_most", "count"), [(None, 70), (100, 70), (70, 70), (33, 33), (2, 2), (1, 1)]
)
def test_as_many_as_asked_and_each_once(
    at_most: int | None, count: int, part: SplitDataset
) -> None:
    sample = PartSample(part, at_most)
    assert len(sample) == count == sum(len(ages) for _, ages in sample)
    assert len(set(sample.places.tolist())) == count
    if count > 1:
        assert (sample.places[0], sample.places[-1]) == (0, 69)


def test_chips_are_the_stores_with_their_ages(part: SplitDataset) -> None:
    sample = PartSample(part, 24)
    chips, ages = (np.concatenate(column) for column in zip(*sample, strict=True))
    assert chips.shape == (24, 32, 32, 3)
    assert chips.dtype == np.uint8
    truth = part.table.frame["age_years"].to_numpy()[sample.places]
    np.testing.assert_array_equal(ages, truth)
    # A chip of this store is the brighter the older.
    np.testing.assert_allclose(chips.mean(axis=(1, 2, 3)), 2.5 * truth, atol=2)


def test_it_can_be_drawn_twice(part: SplitDataset) -> None:
    sample = PartSample(part, 5)
    once, twice = list(sample), list(sample)
    assert all(np.array_equal(a[0], b[0]) for a, b in zip(once, twice, strict=True))
