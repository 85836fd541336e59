from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from agelens.data.store import ChipStore
from agelens.data.training_input import ChipDataset, preset_named
from agelens.data.training_input.batches import CHANCE_ROWS, SplitDataset
from agelens.tables import SampleTable

LABELS = ("age_years", "age_std", "gender", "ethnicity")


@pytest.fixture(scope="module")
def stores(bright_store: Callable[..., Path], tmp_path_factory) -> list[ChipStore]:
    folder = tmp_path_factory.mktemp("parts")
    words = {"ethnicity": ["x", "y", None] * 4}
    first = bright_store(folder / "first", samples=12, size=32, **words)
    other = {"ethnicity": ["y", "z", "z", None, "y"] * 2}
    second = bright_store(folder / "second", samples=10, size=48, seed=1, **other)
    return [ChipStore.open(first), ChipStore.open(second)]


def part(stores: list[ChipStore], *, train: bool = False, words=None) -> SplitDataset:
    preset = preset_named("regression")
    transform = preset.for_training(32) if train else preset.for_evaluation(32)
    tables = [store.table for store in stores]
    datasets = [
        ChipDataset(store, table=table, labels=LABELS, transform=transform)
        for store, table in zip(stores, tables, strict=True)
    ]
    return SplitDataset(datasets, tables, words or {})


def test_samples_of_several_stores_are_numbered_through(stores) -> None:
    chips = part(stores)
    assert len(chips) == 22
    assert chips.table.frame["sample_id"].tolist()[11:13] == ["first/11", "second/0"]
    batch = chips.batch(np.array([0, 21, 12, 3]))
    assert batch.rows.tolist() == [0, 21, 12, 3]
    ages = chips.table.frame["age_years"].to_numpy()[[0, 21, 12, 3]]
    assert batch.labels["age_years"].tolist() == ages.tolist()
    assert chips.sample_ids(batch.rows) == ["first/0", "second/9", "second/0", "first/3"]


def test_a_batch_is_its_samples(stores) -> None:
    chips = part(stores)
    batch = chips.batch(np.array([13, 2, 20, 5]))
    for place, row in enumerate([13, 2, 20, 5]):
        alone = chips.batch(np.array([row]))
        assert torch.allclose(batch.images[place], alone.images[0], atol=1e-6)
        assert batch.labels["age_years"][place] == alone.labels["age_years"][0]


def test_slices_of_a_batch_have_its_chances(stores) -> None:
    chips = part(stores, train=True)
    indices = np.arange(22).repeat(2)[: 2 * CHANCE_ROWS]
    whole = chips.batch(indices)
    halves = [chips.batch(half) for half in np.split(indices, 2)]
    assert torch.equal(torch.cat([half.images for half in halves]), whole.images)


def test_words_are_numbered_alike_in_all_stores(stores) -> None:
    chips = part(stores, words={"ethnicity": ("x", "y", "z")})
    codes = chips.labels("ethnicity").tolist()
    assert codes[:3] == [0, 1, -1]
    assert codes[12:17] == [1, 2, 2, -1, 1]


def test_words_that_are_not_learned_are_unknown(stores) -> None:
    codes = part(stores, words={"ethnicity": ("y", "z")}).labels("ethnicity")
    assert codes[:2].tolist() == [-1, 0]


def test_a_table_may_choose_and_order(stores) -> None:
    store = stores[0]
    frame = store.table.frame.iloc[[7, 2, 5]]
    table = SampleTable(frame, store.table.extra)
    dataset = ChipDataset(store, table=table, labels=LABELS)
    chips = SplitDataset([dataset], [table], {})
    assert chips.table.frame["sample_id"].tolist() == ["first/7", "first/2", "first/5"]
    assert chips.age_years.tolist() == frame["age_years"].tolist()


def test_what_is_left_out_is_counted_over_stores(stores) -> None:
    tables = [
        SampleTable(store.table.frame.assign(age_years=[None, *store.table.frame["age_years"][1:]]))
        for store in stores
    ]
    datasets = [
        ChipDataset(store, table=table, labels=LABELS)
        for store, table in zip(stores, tables, strict=True)
    ]
    chips = SplitDataset(datasets, tables, {})
    assert chips.left_out == {"no age_years": 2}
    assert len(chips) == len(chips.table) == 20
