"""Predictions from chips and from photos."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from agelens.data.predictions import check_other_chips, predict_photos, predict_store
from agelens.data.store import ChipStore, prepare
from agelens.errors import UsageError
from agelens.inference.cards import read_card
from agelens.inference.estimator import AgeEstimator
from agelens.tables import QUALITY, PredictionsTable, SampleTable, read_predictions
from agelens.tables import write_predictions as write

Photos = tuple[Path, SampleTable]
STATUSES = ["ok", "ok", "no_face", "unreadable", "missing", "ok"]


@pytest.fixture(scope="module")
def from_store(toy_estimator: AgeEstimator, toy_store: Path) -> PredictionsTable:
    return predict_store(toy_estimator, ChipStore.open(toy_store))


@pytest.fixture(scope="module")
def from_photos(toy_estimator: AgeEstimator, labelled_photos: Photos) -> PredictionsTable:
    root, table = labelled_photos
    return predict_photos(toy_estimator, table, root)


def test_every_row_is_there_with_its_status_and_labels(
    from_store: PredictionsTable, from_photos: PredictionsTable, labelled_photos: Photos
) -> None:
    labels = labelled_photos[1].frame
    for table in (from_store, from_photos):
        frame = table.frame
        assert frame["status"].tolist() == STATUSES
        assert (frame["estimate_years"].notna() == (frame["status"] == "ok")).all()
        assert frame["age_years"].tolist() == labels["age_years"].tolist()
        assert frame["sample_id"].tolist() == labels["sample_id"].tolist()
        assert set(frame["model"]) == {"toy"}


def test_chips_and_photos_give_the_same_answer(
    from_store: PredictionsTable, from_photos: PredictionsTable
) -> None:
    # Of a chip nobody knows how much of the face the photo had shown.
    assert from_store.frame["visible_share"].isna().all()
    judged = [name for name in QUALITY if name != "visible_share"]
    numbers = ["estimate_years", "median_years", "low_years", "high_years", *judged]
    pd.testing.assert_frame_equal(
        from_store.frame[numbers], from_photos.frame[numbers], rtol=0, atol=1e-4
    )
    np.testing.assert_allclose(from_store.distribution, from_photos.distribution, atol=1e-5)


def test_photos_have_their_time_and_faces_their_yaw(
    from_store: PredictionsTable, from_photos: PredictionsTable
) -> None:
    times = from_photos.frame["milliseconds"]
    assert (times > 0).all()
    assert times.iloc[0] == times.iloc[5]  # two labels of one photo
    assert "milliseconds" not in from_store.frame
    frame = from_photos.frame
    expected = np.degrees(np.arctan(frame["yaw_proxy"].to_numpy(np.float64) / 0.6))
    np.testing.assert_allclose(frame["yaw_degrees"], expected, rtol=1e-5)
    assert (frame["yaw_degrees"].notna() == (frame["status"] == "ok")).all()


def test_the_estimate_is_the_estimators(
    from_store: PredictionsTable, toy_estimator: AgeEstimator, toy_store: Path
) -> None:
    store = ChipStore.open(toy_store)
    (first,) = toy_estimator.estimate_chips([store[0]])
    row = from_store.frame.iloc[0]
    assert row["estimate_years"] == first.estimate_years
    assert row["high_years"] == first.high_years
    assert row["interval_level"] == 0.9


def test_a_table_goes_to_disk_and_back(from_store: PredictionsTable, tmp_path: Path) -> None:
    write(from_store, tmp_path / "p.parquet")
    back = read_predictions(tmp_path / "p.parquet")
    pd.testing.assert_frame_equal(back.frame, from_store.frame)


def test_some_rows_in_their_order(
    from_store: PredictionsTable, toy_estimator: AgeEstimator, toy_store: Path
) -> None:
    steps: list[tuple[int, int]] = []
    some = predict_store(
        toy_estimator,
        ChipStore.open(toy_store),
        rows=np.array([5, 2, 0]),
        on_progress=lambda done, rows: steps.append((done, rows)),
    )
    assert some.frame["sample_id"].tolist() == ["again", "lawn", "a"]
    assert steps == [(3, 3)]
    assert some.frame["estimate_years"].iloc[2] == from_store.frame["estimate_years"].iloc[0]


def test_progress_of_photos_counts_rows(
    toy_estimator: AgeEstimator, labelled_photos: Photos
) -> None:
    steps: list[int] = []
    root, table = labelled_photos
    predict_photos(toy_estimator, table, root, on_progress=lambda done, _: steps.append(done))
    assert steps[-1] == len(table)


@pytest.mark.parametrize(
    ("options", "difference"),
    [
        ({"template": "arcface-112", "size": 24}, "size 24 instead of 16"),
        ({"template": "dlib-64", "size": 16}, "template 'dlib-64' instead of 'arcface-112'"),
        ({"template": "arcface-112", "size": 16, "margin": 0.4}, "margin 0.4 instead of 0.0"),
        ({"aligned": True, "size": 16}, "alignment 'as-shipped' instead of 'similarity'"),
    ],
)
def test_other_chips_are_refused(
    options: dict[str, Any],
    difference: str,
    labelled_photos: Photos,
    toy_estimator: AgeEstimator,
    tmp_path: Path,
) -> None:
    root, table = labelled_photos
    prepare(table, tmp_path / "store", root=root, encoding="png", **options)
    with pytest.raises(UsageError, match=difference):
        predict_store(toy_estimator, ChipStore.open(tmp_path / "store"))


def test_aligned_chips_have_no_landmarks_to_judge_by(
    labelled_photos: Photos, write_card: Callable[..., Path], tmp_path: Path
) -> None:
    root, table = labelled_photos
    prepare(table, tmp_path / "store", root=root, aligned=True, size=16, encoding="png")

    def change(document: dict[str, Any]) -> None:
        document["input"] |= {"alignment": "as-shipped", "template": "as-shipped"}

    card = write_card(tmp_path / "toy", change=change)
    store = ChipStore.open(tmp_path / "store")
    check_other_chips(store, read_card(card))
    frame = predict_store(AgeEstimator(card), store).frame
    assert frame["status"].tolist() == ["ok", "ok", "ok", "unreadable", "missing", "ok"]
    assert frame[["inter_eye_px", "yaw_proxy", "roll_degrees"]].isna().all(axis=None)
    assert frame.loc[frame["status"] == "ok", ["sharpness", "exposure"]].notna().all(axis=None)


def test_a_root_without_the_photos_is_refused(
    toy_estimator: AgeEstimator, labelled_photos: Photos, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match="none of the table's 6 pictures"):
        predict_photos(toy_estimator, labelled_photos[1], tmp_path)


def test_a_labelled_box_elsewhere_has_no_face(
    toy_estimator: AgeEstimator, labelled_photos: Photos
) -> None:
    root, table = labelled_photos
    box = {"box_x1": 900.0, "box_y1": 900.0, "box_x2": 920.0, "box_y2": 920.0}
    elsewhere = SampleTable(table.frame.iloc[:1].assign(**box))
    assert predict_photos(toy_estimator, elsewhere, root).frame["status"].tolist() == ["no_face"]
