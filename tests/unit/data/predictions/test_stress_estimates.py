"""Damaged chips and photos through the network."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from agelens.data.predictions import predict_photos, predict_store
from agelens.data.predictions.stress import stress_photos, stress_seed, stress_store
from agelens.data.store import ChipStore
from agelens.errors import UsageError
from agelens.evaluation.sensitivity.conditions import ON_CHIPS, Condition, conditions
from agelens.evaluation.sensitivity.estimates import StressEstimates
from agelens.inference.estimator import AgeEstimator
from agelens.records import RGB
from agelens.tables import SampleTable

Photos = tuple[Path, SampleTable]
STATUSES = ["ok", "ok", "no_face", "unreadable", "missing", "ok"]
ASKED = conditions(["brightness", "noise", "rotation", "margin", "detector"], ["dlib"])


def test_of_a_store(toy_store: Path, toy_estimator: AgeEstimator) -> None:
    store = ChipStore.open(toy_store)
    asked = conditions(ON_CHIPS)
    progress: list[tuple[int, int]] = []
    found = stress_store(
        toy_estimator, store, asked, on_progress=lambda *counts: progress.append(counts)
    )
    assert progress[-1] == (3, 3)
    assert found.labels["sample_id"].tolist() == store.table.frame["sample_id"].tolist()
    assert found.statuses[:, 0].tolist() == STATUSES
    assert (found.statuses == found.statuses[:, :1]).all()
    assert (np.isnan(found.estimates) == (found.statuses != "ok")).all()
    clean = predict_store(toy_estimator, store).frame["estimate_years"]
    np.testing.assert_allclose(found.estimates[:, 0], clean)
    brighter = found.estimates[0, [asked.index(Condition("brightness", s)) for s in (1, 5)]]
    assert len({found.estimates[0, 0], *brighter}) == 3
    again = stress_store(toy_estimator, store, asked, rows=np.array([5, 0]))
    np.testing.assert_array_equal(again.estimates, found.estimates[[5, 0]])


def test_chips_of_another_template_are_refused(toy_store: Path) -> None:
    with pytest.raises(UsageError, match="not those that"):
        stress_store(AgeEstimator(), ChipStore.open(toy_store), conditions(["blur"]))


@pytest.fixture(scope="module")
def photos(labelled_photos: Photos, toy_estimator: AgeEstimator) -> StressEstimates:
    root, table = labelled_photos
    return stress_photos(toy_estimator, table, str(root), ASKED)


def test_of_photos(
    photos: StressEstimates, labelled_photos: Photos, toy_estimator: AgeEstimator
) -> None:
    root, table = labelled_photos
    found = photos
    assert found.statuses[:, 0].tolist() == STATUSES
    estimates, statuses = found.estimates, found.statuses
    assert (np.isnan(estimates) == (statuses != "ok")).all()
    clean = predict_photos(toy_estimator, table, str(root)).frame["estimate_years"]
    np.testing.assert_allclose(estimates[:, 0], clean)
    # Damage that leaves the face to be found moves the estimate.
    for condition in (Condition("brightness", 2), Condition("margin", 5)):
        place = ASKED.index(condition)
        assert statuses[0, place] == "ok"
        assert estimates[0, place] != estimates[0, 0]


def test_the_same_damage_in_every_run_whatever_else_is_measured(
    photos: StressEstimates, labelled_photos: Photos, toy_estimator: AgeEstimator
) -> None:
    root, table = labelled_photos
    asked = conditions(["noise"])
    one = SampleTable(table.frame.iloc[:1])
    found = stress_photos(toy_estimator, one, str(root), asked)
    places = [ASKED.index(condition) for condition in asked]
    np.testing.assert_array_equal(found.estimates[0], photos.estimates[0, places])


def test_faces_that_are_lost_have_no_face(
    labelled_photos: Photos, toy_estimator: AgeEstimator, monkeypatch: pytest.MonkeyPatch
) -> None:
    def black(rgb: RGB, *_: object, **__: object) -> RGB:
        return np.zeros_like(rgb)

    monkeypatch.setattr("agelens.data.predictions.stress.corrupt", black)
    root, table = labelled_photos
    found = stress_photos(
        toy_estimator, SampleTable(table.frame.iloc[:1]), str(root), conditions(["blur"])
    )
    assert found.statuses[0].tolist() == ["ok", *["no_face"] * 5]
    assert np.isnan(found.estimates[0, 1:]).all()


def test_a_seed_is_of_the_sample_and_the_run() -> None:
    seeds = {stress_seed(run, sample) for run in (0, 1) for sample in ("a", "b")}
    assert len(seeds) == 4
    assert stress_seed(0, "a") == stress_seed(0, "a")
