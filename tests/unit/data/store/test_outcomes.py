from __future__ import annotations

import numpy as np
import pytest

from agelens.data.store.card import ChipEncoding, decode_chip
from agelens.data.store.cutting import (
    PhotoWorker,
    WholePictureCutter,
    labelled_photos,
    picture_source,
)
from agelens.errors import UsageError


def worker(pictures, size=32, max_pixels=10**8):
    return PhotoWorker(pictures, WholePictureCutter(size), ChipEncoding("png"), max_pixels)


def test_rows_of_one_photo_come_together(make_table):
    boxes = {"box_x1": [1, np.nan, 5, 9], "box_y1": 2, "box_x2": [4, 4, 8, 9], "box_y2": 7}
    table = make_table(["a.jpg", "b.jpg", "a.jpg", "a.jpg"], **boxes)
    photos = list(labelled_photos(table.frame, 7))
    assert [(p.path, p.rows, p.shard) for p in photos] == [
        ("a.jpg", (0, 2, 3), 7),
        ("b.jpg", (1,), 7),
    ]
    first, second, empty = photos[0].boxes
    assert first.tolist() == [1, 2, 4, 7]
    assert second.tolist() == [5, 2, 8, 7]
    assert empty is None  # no width
    assert photos[1].boxes == (None,)  # one edge unknown


def test_bytes_serve_as_pictures_and_a_photo_is_read_once(make_table, photos):
    asked = []

    def pictures(dataset, path):
        asked.append((dataset, path))
        return (photos / path).read_bytes()

    (photo,) = labelled_photos(make_table(["face0.jpg", "face0.jpg"]).frame, 0)
    _, outcomes = worker(pictures)(photo)
    assert asked == [("set", "face0.jpg")]
    assert [o.status for o in outcomes] == ["ok", "ok"]
    assert decode_chip(outcomes[0].chip).shape == (32, 32, 3)


@pytest.mark.parametrize(
    ("path", "status"),
    [("absent.jpg", "missing"), ("torn.jpg", "unreadable"), ("under", "unreadable")],
)
def test_a_bad_photo_is_a_status_without_the_root(make_table, photos, path, status):
    (photo,) = labelled_photos(make_table([path]).frame, 0)
    _, (outcome,) = worker(lambda _, path: photos / path)(photo)
    assert outcome.status == status
    assert outcome.chip is None
    assert outcome.message.startswith(f"{path}: ")
    assert str(photos) not in outcome.message


def test_too_many_pixels(make_table, photos):
    (photo,) = labelled_photos(make_table(["face0.jpg"]).frame, 0)
    _, (outcome,) = worker(lambda _, path: photos / path, max_pixels=1000)(photo)
    assert outcome.status == "too_large"


def test_one_root_roots_by_dataset_or_a_function(make_table, photos):
    table = make_table(["face0.jpg"])
    assert picture_source(photos, table)("set", "x.jpg") == photos / "x.jpg"
    assert picture_source({"set": str(photos)}, table)("set", "x.jpg") == photos / "x.jpg"

    def function(_, path):
        return path.encode()

    assert picture_source(function, table) is function


def test_wrong_roots(make_table, photos, tmp_path):
    table = make_table(["face0.jpg", "face1.jpg"])
    with pytest.raises(UsageError, match=r"none of the table's 2 pictures is under .*face0\.jpg"):
        picture_source(tmp_path, table)
    with pytest.raises(UsageError, match="no root given for set; given: other"):
        picture_source({"other": photos}, table)
    picture_source(photos, make_table(["absent.jpg", "n" * 400, "face1.jpg"]))  # one suffices
