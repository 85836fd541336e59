from __future__ import annotations

import pickle

import cv2
import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from agelens.data.training_input import ChipDataset, preset_named
from agelens.errors import TableError, UnknownNameError
from agelens.tables import SampleTable

WORDS = ("age_years", "gender")
FORKS = pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")  # from Python 3.12 on


def chip_loader(dataset, *, batch_size, workers=0, drop_last=False):
    """The dataset makes whole batches, so that there is nothing to collate."""
    return DataLoader(
        dataset,
        batch_size=batch_size,
        num_workers=workers,
        collate_fn=_whole,
        drop_last=drop_last,
        persistent_workers=workers > 0,
        worker_init_fn=_one_thread,
    )


def _whole(batch):
    return batch


def _one_thread(_):
    cv2.setNumThreads(0)  # OpenCV's own threads do not survive a fork


def batches(dataset, workers=0, **options):
    return list(chip_loader(dataset, batch_size=4, workers=workers, **options))


def assert_equal(left, right):
    for one, other in zip(left, right, strict=True):
        assert torch.equal(one.images, other.images)
        assert torch.equal(one.rows, other.rows)


def test_what_cannot_teach_is_left_out_and_counted(store):
    dataset = ChipDataset(store)
    assert len(dataset) == 9
    assert dataset.rows.tolist() == list(range(9))
    assert dataset.left_out == {"no chip": 1, "no age_years": 1, "label has an issue": 1}
    assert len(ChipDataset(store, flagged=True)) == 10
    assert len(ChipDataset(store, labels=("gender",))) == 10


def test_chips_and_labels_belong_together(store, table):
    (batch,) = chip_loader(ChipDataset(store, labels=WORDS), batch_size=9)
    assert batch.images.dtype == torch.uint8
    for image, row in zip(batch.images, batch.rows.tolist(), strict=True):
        assert np.array_equal(image.permute(1, 2, 0), store[row])
    assert batch.labels["age_years"].tolist() == table.frame["age_years"][:9].tolist()
    assert batch.labels["gender"].tolist() == [0, 1, -1] * 3


def test_words_have_their_places_said(store):
    dataset = ChipDataset(store, labels=("gender", "dataset"))
    assert dataset.classes == {"gender": ("female", "male"), "dataset": ("noise",)}


def test_one_sample_is_a_batch_of_one(store):
    dataset = ChipDataset(store, transform=preset_named("iefp").for_evaluation(64))
    image, labels, row = dataset[4]
    assert image.shape == (3, 64, 64)
    assert (labels["age_years"], row) == (21, 4)


def test_a_table_selects_orders_and_labels(store, table):
    part = table.frame.iloc[[7, 2]].assign(age_years=[1.0, 2.0])
    dataset = ChipDataset(store, table=SampleTable(part))
    (batch,) = batches(dataset)
    assert batch.rows.tolist() == [7, 2]
    assert batch.labels["age_years"].tolist() == [1, 2]


def test_strangers_and_emptiness_are_errors(store, table):
    stranger = SampleTable(table.frame.iloc[:1].assign(sample_id="else/1"))
    with pytest.raises(TableError, match=r"1 samples of the table are not in .*'else/1'"):
        ChipDataset(store, table=stranger)
    with pytest.raises(TableError, match=r"no row of .*'no chip': 1"):
        ChipDataset(store, table=SampleTable(table.frame.iloc[[9]]))
    with pytest.raises(UnknownNameError, match="age_years"):
        ChipDataset(store, labels=("age",))


@FORKS
@pytest.mark.parametrize("name", ["rapl", "coral"])
def test_batches_hang_on_seed_and_epoch_not_on_workers(store, name):
    transform = preset_named(name).for_training(64)
    dataset = ChipDataset(store, transform=transform, seed=1)
    alone = batches(dataset)
    assert_equal(batches(dataset), alone)
    assert_equal(batches(dataset, workers=2), alone)
    other = batches(ChipDataset(store, transform=transform, seed=2))
    assert not torch.equal(other[0].images, alone[0].images)


@FORKS
def test_epochs_reach_workers_that_stay(store):
    dataset = ChipDataset(store, transform=preset_named("rapl").for_training(64))
    loader = chip_loader(dataset, batch_size=4, workers=1)
    epochs = []
    for epoch in (0, 1, 0):
        dataset.set_epoch(epoch)
        epochs.append(list(loader))
    assert_equal(epochs[0], epochs[2])
    assert not torch.equal(epochs[0][0].images, epochs[1][0].images)
    dataset.set_epoch(1)
    assert_equal(batches(dataset), epochs[1])


def test_pickled_for_workers_that_are_spawned(store):
    dataset = ChipDataset(store, transform=preset_named("rapl").for_training(64))
    assert_equal(batches(pickle.loads(pickle.dumps(dataset))), batches(dataset))


def test_last_batch_may_be_dropped(store):
    assert [len(b.rows) for b in batches(ChipDataset(store))] == [4, 4, 1]
    assert [len(b.rows) for b in batches(ChipDataset(store), drop_last=True)] == [4, 4]
