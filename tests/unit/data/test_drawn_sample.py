from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from agelens.data import draw_sample
from agelens.data.drawn_sample import SIDE
from agelens.errors import UsageError
from agelens.imaging.detectors.retinaface import RetinaFace


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    table = draw_sample(tmp_path_factory.mktemp("drawn") / "sample", 40, seed=3)
    return table.parent, pd.read_csv(table)


def test_each_person_is_drawn_twice_with_one_gender_and_tone(drawn):
    folder, people = drawn
    assert len(people) == 40
    assert people.groupby("person").size().eq(2).all()
    assert people.groupby("person")[["gender", "tone"]].nunique().eq(1).all(axis=None)
    assert people["age"].between(0, 90).all()
    assert sorted(people["file"]) == sorted(file.name for file in (folder / "photos").iterdir())


def test_the_default_detector_finds_every_face_once(drawn):
    folder, people = drawn
    detector = RetinaFace()
    found = [detector.detect(np.asarray(Image.open(folder / "photos" / f))) for f in people["file"]]
    assert {len(faces) for faces in found} == {1}


def test_the_old_are_greyer(drawn):
    folder, people = drawn
    colours = []
    for name in people["file"]:
        crown = np.asarray(Image.open(folder / "photos" / name))[
            50:60, SIDE // 2 - 5 : SIDE // 2 + 5
        ]
        colours.append(float(crown.mean()))
    old, young = people["age"] > 65, people["age"] < 30
    assert np.mean(np.array(colours)[old]) > np.mean(np.array(colours)[young]) + 30


def test_a_seed_draws_the_same_pictures(drawn, tmp_path):
    folder, _ = drawn
    again = draw_sample(tmp_path / "again", 40, seed=3).parent
    other = draw_sample(tmp_path / "other", 4, seed=4).parent
    for name in ("0000.jpg", "0039.jpg"):
        assert (again / "photos" / name).read_bytes() == (folder / "photos" / name).read_bytes()
    assert (other / "photos/0000.jpg").read_bytes() != (folder / "photos/0000.jpg").read_bytes()
    assert (again / "people.csv").read_text() == (folder / "people.csv").read_text()


def test_a_folder_with_something_in_it_is_left_alone(tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(UsageError, match="not empty"):
        draw_sample(tmp_path, 4)
    assert [file.name for file in tmp_path.iterdir()] == ["mine.txt"]
    with pytest.raises(UsageError, match="at least 2"):
        draw_sample(tmp_path / "one", 1)
