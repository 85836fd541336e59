"""What a card's calibration makes of a network's answers."""

from typing import Any

import numpy as np
import pytest

from agelens.ages import AgeScale
from agelens.inference.answers import Answers, OutputSpec, point_and_interval, read_answers
from agelens.inference.calibration import BiasCorrection, Calibration, IntervalCalibration

LEVEL = 0.9


@pytest.fixture
def answers() -> Answers:
    scale = AgeScale.yearly(0, 100)
    years = np.asarray(scale.years)
    mass = np.exp(-0.5 * np.square((years - np.array([[20.0], [60.0]])) / 3))
    return read_answers(mass / mass.sum(axis=1, keepdims=True), OutputSpec(scale))


def calibrated(bias: BiasCorrection | None = None, **changed: Any) -> Calibration:
    options: dict[str, Any] = {
        "level": LEVEL,
        "coverage": 0.91,
        "score": "quantile",
        "edges_years": (),
        "corrections": {"": (2.0,)},
    }
    return Calibration((IntervalCalibration(**(options | changed)),), bias, {})


def test_without_a_calibration_the_networks_own_numbers_stand(answers: Answers) -> None:
    stated = point_and_interval(answers, LEVEL)
    assert stated.coverage is None
    low, high = answers.interval(LEVEL)
    np.testing.assert_array_equal(stated.low_years, low)
    np.testing.assert_array_equal(stated.high_years, high)


def test_a_calibrated_level_has_its_ends_and_its_coverage(answers: Answers) -> None:
    stated = point_and_interval(answers, LEVEL, calibrated())
    low, high = answers.interval(LEVEL)
    np.testing.assert_allclose(stated.low_years, low - 2)
    np.testing.assert_allclose(stated.high_years, high + 2)
    assert stated.coverage == 0.91
    np.testing.assert_array_equal(stated.estimate_years, answers.estimate_years)


def test_another_level_is_the_networks_own_and_has_no_coverage(answers: Answers) -> None:
    stated = point_and_interval(answers, 0.5, calibrated())
    np.testing.assert_array_equal(stated.low_years, answers.interval(0.5)[0])
    assert stated.coverage is None


def test_bias_is_corrected_first(answers: Answers) -> None:
    bias = BiasCorrection((0.0, 100.0), (10.0, 110.0))
    stated = point_and_interval(answers, LEVEL, calibrated(bias))
    np.testing.assert_allclose(stated.estimate_years, answers.estimate_years + 10)
    np.testing.assert_allclose(stated.median_years, answers.median_years + 10)
    np.testing.assert_allclose(stated.low_years, answers.interval(LEVEL)[0] + 8)
    uncalibrated = point_and_interval(answers, 0.5, calibrated(bias))
    np.testing.assert_allclose(uncalibrated.low_years, answers.interval(0.5)[0] + 10)


def test_genders_count_where_the_card_tells_them_apart(answers: Answers) -> None:
    apart = calibrated(
        column="gender", corrections={"": (2.0,), "male": (5.0,)}, coverage_of_strangers=0.88
    )
    own, _ = answers.interval(LEVEL)
    known = point_and_interval(answers, LEVEL, apart, ["male", "female"])
    np.testing.assert_allclose(known.low_years, own - [5, 2])
    assert known.coverage == 0.91
    unknown = point_and_interval(answers, LEVEL, apart)
    np.testing.assert_allclose(unknown.low_years, own - 2)
    assert unknown.coverage == 0.88


def test_a_column_that_use_does_not_know_is_of_strangers(answers: Answers) -> None:
    apart = calibrated(column="ethnicity", corrections={"": (2.0,), "male": (5.0,)})
    stated = point_and_interval(answers, LEVEL, apart, ["male", "male"])
    np.testing.assert_allclose(stated.low_years, answers.interval(LEVEL)[0] - 2)
    assert stated.coverage is None
