from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from agelens.data.predictions import predict_store
from agelens.data.predictions.worst_pictures import chips_of, photos_below, write_worst_pictures
from agelens.data.store import ChipStore
from agelens.evaluation.all_rows import worst_errors
from agelens.inference.estimator import AgeEstimator
from agelens.tables import SampleTable


@pytest.mark.parametrize("of", ["photos", "chips"])
def test_pictures_lie_in_a_folder_of_their_own_with_a_warning(
    of: str,
    labelled_photos: tuple[Path, SampleTable],
    toy_store: Path,
    toy_estimator: AgeEstimator,
    tmp_path: Path,
) -> None:
    store = ChipStore.open(toy_store)
    worst = worst_errors(predict_store(toy_estimator, store))
    picture_of = photos_below(labelled_photos[0]) if of == "photos" else chips_of(store)
    assert write_worst_pictures([("one", worst), ("none", worst[:0])], picture_of, tmp_path) == 3
    folder = tmp_path / "local-only"
    assert (folder / ".gitignore").read_text() == "*\n"
    html = (folder / "worst.html").read_text()
    assert "for your own eyes" in html
    assert "The 3 estimates furthest" in html
    assert "None of its pictures was found" in html
    assert np.asarray(Image.open(folder / "worst_1.png").convert("L")).std() > 5
    assert [path.name for path in tmp_path.iterdir()] == ["local-only"]


def test_pictures_that_are_gone_are_passed_over(
    labelled_photos: tuple[Path, SampleTable],
    toy_store: Path,
    toy_estimator: AgeEstimator,
    tmp_path: Path,
) -> None:
    store = ChipStore.open(toy_store)
    worst = worst_errors(predict_store(toy_estimator, store))
    assert write_worst_pictures([("one", worst)], photos_below(tmp_path), tmp_path) == 0
    strangers = worst.assign(sample_id="nobody", path=None)
    (tmp_path / "other").mkdir()
    assert write_worst_pictures([("one", strangers)], chips_of(store), tmp_path / "other") == 0
