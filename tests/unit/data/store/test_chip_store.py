from __future__ import annotations

import json
import pickle
import shutil

import numpy as np
import pytest
from PIL import Image

from agelens.data.store import ChipStore, prepare
from agelens.errors import DatasetError, PhotoError
from agelens.tables import COLUMNS

PATHS = ("face0.jpg", "face1.jpg", "absent.jpg", "face2.jpg", "lawn.png")


@pytest.fixture
def folder(tmp_path, photos, make_table):
    options = {"aligned": True, "size": 40, "encoding": "png", "rows_per_shard": 2}
    prepare(make_table(PATHS), tmp_path / "store", root=photos, **options)
    return tmp_path / "store"


def test_rows_and_chips(folder):
    store = ChipStore.open(folder)
    assert len(store) == 5
    assert store.size == 40
    assert np.array_equal(store[4], np.full((40, 40, 3), (40, 90, 40), np.uint8))
    assert np.array_equal(store[-1], store[4])
    assert not np.array_equal(store[0], store[1])
    with pytest.raises(IndexError):
        store[5]


def test_a_row_without_a_chip_says_why(folder):
    with pytest.raises(PhotoError, match=r"row 2 .*absent\.jpg: no such file") as caught:
        ChipStore.open(folder)[2]
    assert caught.value.status == "missing"


def test_decoding_into_an_array(folder):
    out = np.empty((40, 40, 3), np.uint8)
    store = ChipStore.open(folder)
    store.decode_into(0, out)
    assert np.array_equal(out, store[0])


def test_table_keeps_labels(folder, make_table):
    frame = ChipStore.open(folder).table.frame
    assert list(frame.columns) == list(COLUMNS)
    assert frame.equals(make_table(PATHS).frame)  # aligned: nothing written back


def test_as_a_hugging_face_dataset(folder):
    store = ChipStore.open(folder)
    dataset = store.dataset
    assert dataset.num_rows == 5
    assert isinstance(dataset[3]["image"], Image.Image)
    assert np.array_equal(np.asarray(dataset[3]["image"]), store[3])
    assert dataset[2]["image"] is None
    assert dataset[1]["age_years"] == 21.0


def test_pickled_it_opens_again(folder):
    store = pickle.loads(pickle.dumps(ChipStore.open(folder)))
    assert len(store) == 5
    assert store[0].shape == (40, 40, 3)


def test_a_missing_shard_is_named(folder):
    (folder / "chips-00001.arrow").unlink()
    for verify in (True, False):
        with pytest.raises(DatasetError, match=r"chips-00001\.arrow: this shard .* is missing"):
            ChipStore.open(folder, verify=verify)


def test_a_shorter_shard_is_named(folder):
    shard = folder / "chips-00002.arrow"
    shard.write_bytes(shard.read_bytes()[:-8])
    for verify in (True, False):
        with pytest.raises(DatasetError, match=r"chips-00002\.arrow: has \d+ bytes, not"):
            ChipStore.open(folder, verify=verify)


def flip(path, at):
    content = bytearray(path.read_bytes())
    content[at] ^= 0xFF
    path.write_bytes(content)


def test_a_flipped_byte_is_found(folder):
    flip(folder / "chips-00000.arrow", -200)
    with pytest.raises(DatasetError, match=r"chips-00000\.arrow: its content changed"):
        ChipStore.open(folder)


def test_unverified_damage_shows_when_decoded(folder):
    shard = folder / "chips-00002.arrow"
    flip(shard, shard.read_bytes().index(b"\x89PNG"))
    store = ChipStore.open(folder, verify=False)
    with pytest.raises(DatasetError, match=r"chips-00002\.arrow: row 0 holds no chip"):
        store[4]


def test_other_versions_and_other_folders(folder, tmp_path):
    card = folder / "store.json"
    document = json.loads(card.read_text())
    card.write_text(json.dumps(document | {"format_version": 99}))
    with pytest.raises(DatasetError, match="format version 99, this agelens reads 1"):
        ChipStore.open(folder)
    card.write_text(json.dumps({"format": "other"}))
    with pytest.raises(DatasetError, match="is not the card of a chip store"):
        ChipStore.open(folder)
    card.write_text("{")
    with pytest.raises(DatasetError, match="cannot be read"):
        ChipStore.open(folder)
    del document["shards"]
    card.write_text(json.dumps(document))
    with pytest.raises(DatasetError, match="it lacks 'shards'"):
        ChipStore.open(folder)
    with pytest.raises(DatasetError, match="expected a chip store, and this is none"):
        ChipStore.open(tmp_path)


def test_a_store_in_the_making(folder):
    shutil.move(folder / "store.json", folder / "preparing.json")
    with pytest.raises(DatasetError, match="is not finished: prepare it again"):
        ChipStore.open(folder)
