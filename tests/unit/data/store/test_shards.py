from __future__ import annotations

import warnings

import numpy as np
import pytest

from agelens.data.store.chip_store import open_shard, shard_content
from agelens.data.store.cutting import Outcome
from agelens.errors import DatasetError
from agelens.records import Face

FACE = Face(np.array([1.5, 2, 30, 40]), np.arange(10.0).reshape(5, 2), 0.75)


@pytest.fixture
def labels(make_table):
    return make_table(["a.jpg", "b.jpg"], box_x1=[7, 7], ethnicity=["Black", None], fold=3).frame


@pytest.fixture
def outcomes():
    return [Outcome("ok", "", b"chip", FACE, 2, np.array([1.0, 2, 3, 4])), Outcome("missing", "b")]


def test_same_rows_same_bytes(labels, outcomes):
    assert shard_content(labels, outcomes) == shard_content(labels.copy(), list(outcomes))


def test_faces_replace_labels_only_where_there_is_one(labels, outcomes, tmp_path):
    path = tmp_path / "shard.arrow"
    path.write_bytes(shard_content(labels, outcomes))
    face, missing = open_shard(path).to_pylist()
    assert [face[name] for name in ("box_x1", "box_y2", "eye_left_y", "mouth_right_y")] == [
        *(1.5, 40.0, 1.0, 9.0)
    ]
    assert face["roll_degrees"] == pytest.approx(45)
    assert (face["detection_score"], face["faces"], face["rotated_y2"]) == (0.75, 2, 4.0)
    assert face["image"] == {"bytes": b"chip", "path": None}
    assert (face["ethnicity"], face["fold"], face["gender"]) == ("Black", 3, "female")
    assert (missing["box_x1"], missing["box_y1"], missing["roll_degrees"]) == (7.0, None, None)
    assert (missing["status"], missing["message"], missing["image"]) == ("missing", "b", None)
    assert (missing["ethnicity"], missing["detection_score"]) == (None, None)


def test_damage_is_named(tmp_path, labels, outcomes):
    path = tmp_path / "shard.arrow"
    path.write_bytes(b"nothing of the kind")
    with pytest.raises(DatasetError, match=r"shard\.arrow: cannot be read as a shard"):
        open_shard(path)
    with pytest.raises(DatasetError, match="cannot be read as a shard"):
        open_shard(tmp_path / "absent.arrow")
    path.write_bytes(shard_content(labels, outcomes)[:500])
    with pytest.raises(DatasetError, match="cannot be read as a shard"):
        open_shard(path)


def test_other_arrow_files_are_no_shards(tmp_path):
    import pyarrow as pa

    path = tmp_path / "other.arrow"
    table = pa.table({"x": [1]})
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    with pytest.raises(DatasetError, match="it lacks age_high"), warnings.catch_warnings():
        open_shard(path)
