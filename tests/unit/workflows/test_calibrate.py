"""Calibrations in cards: written whole or not at all, read or refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agelens.errors import CardError, OutputError, UsageError
from agelens.inference.calibration import Calibration
from agelens.inference.cards import MODELS, load_card, read_card
from agelens.inference.estimator import AgeEstimator
from agelens.records import RGB
from agelens.workflows.calibrate import write_calibration

WriteCard = Callable[..., Path]
INTERVAL: dict[str, Any] = {
    "level": 0.9,
    "coverage": 0.9,
    "score": "quantile",
    "edges_years": [],
    "corrections": {"": [3.0]},
}


def calibration(**changed: Any) -> Calibration:
    document = {"intervals": [INTERVAL], "bias": None, "samples": 7} | changed
    found = Calibration.from_json(document)
    assert found is not None
    return found


def test_a_card_keeps_everything_else(write_card: WriteCard, tmp_path: Path) -> None:
    path = write_card(tmp_path)
    before = json.loads(path.read_text())
    assert write_calibration(tmp_path, calibration()) == path
    after = json.loads(path.read_text())
    assert after.pop("calibration")["samples"] == 7
    before.pop("calibration")
    assert after == before
    assert {file.name for file in tmp_path.iterdir()} == {"card.json", "toy.onnx"}
    card = load_card(tmp_path)
    assert card.calibration is not None
    assert card.calibration.at(0.9) is not None
    assert card.read_weights()


def test_a_copy_leaves_the_model_alone(write_card: WriteCard, tmp_path: Path) -> None:
    path = write_card(tmp_path / "model")
    before = path.read_bytes()
    write_calibration(path, calibration(), tmp_path / "copy")
    assert path.read_bytes() == before
    copy = load_card(tmp_path / "copy")
    assert copy.calibration is not None
    assert copy.weights.parent == (tmp_path / "copy").resolve()
    assert copy.read_weights() == load_card(path).read_weights()


def test_a_copy_of_a_packaged_model_points_at_the_packages_weights(tmp_path: Path) -> None:
    write_calibration("cc0-resnet10", calibration(), tmp_path / "copy")
    copy = load_card(tmp_path / "copy")
    assert copy.weights == load_card("cc0-resnet10").weights
    assert copy.read_weights()
    assert [file.name for file in (tmp_path / "copy").iterdir()] == ["card.json"]
    assert "Calibrated afterwards" in copy.document["notes"][-1]


def test_packaged_cards_and_full_folders_are_not_written_to(
    write_card: WriteCard, tmp_path: Path
) -> None:
    before = MODELS["cc0-resnet10"].read_bytes()
    with pytest.raises(UsageError, match="packaged model"):
        write_calibration("cc0-resnet10", calibration())
    assert MODELS["cc0-resnet10"].read_bytes() == before
    with pytest.raises(UsageError, match="not empty"):
        write_calibration(write_card(tmp_path), calibration(), tmp_path)


def test_what_cannot_be_written_leaves_the_card(
    write_card: WriteCard, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_card(tmp_path)
    before = path.read_bytes()

    def full(self: Path, _: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(OutputError, match="No space left"):
        write_calibration(path, calibration())
    assert path.read_bytes() == before
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize(
    ("section", "complaint"),
    [
        ({}, "calibration lacks 'intervals'"),
        ([], "malformed"),
        ("yes", "malformed"),
        ({"intervals": "all"}, "malformed"),
        ({"intervals": [{**INTERVAL, "level": 1.5}]}, "level"),
        ({"intervals": [{**INTERVAL, "coverage": float("nan")}]}, "coverage"),
        ({"intervals": [{**INTERVAL, "score": "magic"}]}, "score"),
        ({"intervals": [{**INTERVAL, "bins_of": "gender"}]}, "bins_of"),
        ({"intervals": [{**INTERVAL, "corrections": {"": [1, 2]}}]}, "needs 1 corrections"),
        ({"intervals": [{**INTERVAL, "corrections": {}}]}, "everybody"),
        ({"intervals": [{**INTERVAL, "edges_years": [5, 5]}]}, "ascend"),
        ({"intervals": [{k: v for k, v in INTERVAL.items() if k != "level"}]}, "lacks 'level'"),
        ({"intervals": [], "bias": {"estimate_years": [1]}}, "lacks 'corrected_years'"),
        (
            {"intervals": [], "bias": {"estimate_years": [1, 2], "corrected_years": [2, 1]}},
            "not fall",
        ),
    ],
)
def test_a_malformed_calibration_is_refused(
    section: Any, complaint: str, write_card: WriteCard, tmp_path: Path
) -> None:
    path = write_card(tmp_path, change=lambda document: document.update(calibration=section))
    with pytest.raises(CardError, match=complaint):
        read_card(path)


class TestEstimating:
    @pytest.fixture
    def chip(self) -> RGB:
        return np.random.default_rng(0).integers(0, 255, (1, 16, 16, 3), dtype=np.uint8)

    def test_the_estimate_states_coverage(
        self, write_card: WriteCard, tmp_path: Path, chip: RGB
    ) -> None:
        path = write_card(tmp_path)
        (own,) = AgeEstimator(path).estimate_chips(chip)
        write_calibration(path, calibration())
        (stated,) = AgeEstimator(path).estimate_chips(chip)
        assert (own.coverage, stated.coverage) == (None, 0.9)
        assert stated.estimate_years == own.estimate_years
        assert stated.low_years == pytest.approx(max(own.low_years - 3, 0))
        assert stated.high_years == pytest.approx(own.high_years + 3)
        (uncalibrated,) = AgeEstimator(path, calibrated=False).estimate_chips(chip)
        assert own.interval is own.to_json()["low_years"] is None
        assert stated.interval == "90 %, calibrated"
        assert uncalibrated.interval == "90 %, not calibrated"
        ends = ("low_years", "high_years")
        assert all(getattr(uncalibrated, end) == getattr(own, end) for end in ends)
        (other,) = AgeEstimator(path, interval_level=0.5).estimate_chips(chip)
        assert other.coverage is None
