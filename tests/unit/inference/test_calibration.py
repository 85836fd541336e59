import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agelens.inference.calibration import BiasCorrection, Calibration, IntervalCalibration

ESTIMATE, LOW, HIGH = (np.array(v, dtype=np.float64) for v in ([10, 40], [8, 30], [14, 60]))


def calibration(score: Any = "absolute", **changed: Any) -> IntervalCalibration:
    options: dict[str, Any] = {
        "level": 0.9,
        "coverage": 0.905,
        "score": score,
        "edges_years": (20.0,),
        "corrections": {"": (2.0, 3.0), "male": (4.0, 5.0)},
        "column": "gender",
    }
    return IntervalCalibration(**(options | changed))


@pytest.mark.parametrize(
    ("score", "low", "high"),
    [
        ("absolute", [8, 37], [12, 43]),
        ("normalised", [4, -5], [16, 85]),
        ("quantile", [6, 27], [16, 63]),
    ],
)
def test_scores_widen_in_their_own_way(score: str, low: list[int], high: list[int]) -> None:
    ends = calibration(score).apply(ESTIMATE, LOW, HIGH)
    assert ends[0] == pytest.approx(np.maximum(low, 0))
    assert ends[1] == pytest.approx(high)


def test_groups_take_their_own_numbers_and_strangers_everybodys() -> None:
    low, high = calibration().apply(ESTIMATE, LOW, HIGH, ["male", "other"])
    assert (low.tolist(), high.tolist()) == ([6, 37], [14, 43])
    low, _ = calibration().apply(ESTIMATE, LOW, HIGH, [None, "male"])
    assert low.tolist() == [8, 35]


def test_an_interval_always_holds_its_estimate() -> None:
    tight = calibration("quantile", corrections={"": (-9.0, -25.0)}, column=None)
    low, high = tight.apply(ESTIMATE, LOW, HIGH)
    assert (low <= ESTIMATE).all()
    assert (high >= ESTIMATE).all()


def test_bins_of_the_true_age_reach_from_the_first_age_that_is_inside_to_the_last() -> None:
    by_age = calibration(corrections={"": (3.0, 15.0)}, column=None, bins_of="age")
    low, high = by_age.apply(*(np.array(v, dtype=np.float64) for v in ([10, 25, 40],) * 3))
    # 10: 7 to 13 in the first bin, 20 to 25 in the second. 25: none and 20 to 40. 40: 25 to 55.
    assert low.tolist() == [7, 20, 25]
    assert high.tolist() == [25, 40, 55]


def test_where_no_age_is_inside_the_interval_is_the_estimate() -> None:
    nobody = calibration("quantile", corrections={"": (-9.0, -9.0)}, column=None, bins_of="age")
    low, high = nobody.apply(ESTIMATE, ESTIMATE - 1, ESTIMATE + 1)
    assert low.tolist() == high.tolist() == ESTIMATE.tolist()


def test_json_keeps_everything() -> None:
    document = json.loads(json.dumps(calibration().to_json()))
    assert IntervalCalibration.from_json(document) == calibration()


@pytest.mark.parametrize(
    "changed",
    [
        {"level": 1.0},
        {"coverage": 1.5},
        {"score": "guess"},
        {"edges_years": (30.0, 20.0)},
        {"corrections": {"male": (1.0, 1.0)}},
        {"corrections": {"": (1.0,)}},
        {"corrections": {"": (1.0, float("inf"))}},
    ],
)
def test_a_malformed_calibration_is_refused(changed: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="calibration"):
        calibration(**changed)


def test_bias_is_corrected_along_the_curve_and_beyond_its_ends() -> None:
    bias = BiasCorrection((10, 20, 60), (8, 20, 66))
    years = bias.apply(np.array([0.0, 5, 10, 15, 40, 70]))
    assert years == pytest.approx([0, 3, 8, 14, 43, 76])


@given(st.lists(st.floats(0, 120), min_size=2, max_size=20))
def test_a_corrected_order_of_ages_is_the_old_order(ages: list[float]) -> None:
    years = np.sort(np.array(ages))
    assert (np.diff(BiasCorrection((5, 30, 31), (2, 30, 50)).apply(years)) >= -1e-9).all()


@pytest.mark.parametrize(
    ("estimates", "corrected"),
    [((1,), (1,)), ((2, 1), (1, 2)), ((1, 2), (2, 1)), ((1, 2), (1,)), ((1, float("nan")), (1, 2))],
)
def test_a_malformed_bias_curve_is_refused(estimates: Any, corrected: Any) -> None:
    with pytest.raises(ValueError, match="bias correction"):
        BiasCorrection(estimates, corrected)


def test_a_card_gives_the_level_that_was_measured_and_no_other() -> None:
    section = {"intervals": [calibration().to_json()], "bias": None, "samples": 10}
    read = Calibration.from_json(section)
    assert read is not None
    assert read.at(0.9) == calibration()
    assert read.at(0.8) is None
    assert read.bias is None
    assert Calibration.from_json(None) is None
