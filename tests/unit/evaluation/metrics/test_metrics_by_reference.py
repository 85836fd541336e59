"""Every metric against another library or plain loops over samples."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
import sklearn.metrics
from dlordinal.metrics import accuracy_off1, ranked_probability_score
from dlordinal.metrics import amae as reference_amae
from dlordinal.metrics import mmae as reference_mmae

from agelens.ages import AgeScale
from agelens.evaluation.metrics import METRICS
from agelens.evaluation.metrics.classification import (
    class_accuracy,
    gender_accuracy,
    one_off_accuracy,
)
from agelens.evaluation.metrics.errors import (
    LEGAL_AGES,
    aar,
    amae,
    bias,
    ca_at,
    ce_at,
    cs_at,
    epsilon_error,
    false_adult_rate,
    false_minor_rate,
    mae,
    median_absolute_error,
    mmae,
    rates_across,
    rmse,
    subject_mae,
)
from agelens.evaluation.metrics.probabilistic import (
    calibration_error,
    coverage,
    crps,
    crps_of_each,
    mean_width,
    pit_of_each,
)

RNG = np.random.default_rng(0)
AGES = RNG.integers(0, 90, 400).astype(float)
ESTIMATES = np.maximum(AGES + RNG.normal(1, 6, 400), 0)
WHOLE = np.round(ESTIMATES)
PAIRS = list(zip(WHOLE, AGES, strict=True))
SCALE = AgeScale((0.25, *range(1, 81)))


@pytest.mark.parametrize("legal", LEGAL_AGES)
def test_rates_across_a_legal_age_against_a_confusion_matrix(legal: int) -> None:
    wrong = sklearn.metrics.confusion_matrix(legal <= AGES, legal <= WHOLE, normalize="true")
    assert false_adult_rate(WHOLE, AGES, legal) == pytest.approx(wrong[0, 1])
    assert false_minor_rate(WHOLE, AGES, legal) == pytest.approx(wrong[1, 0])
    assert 0 < wrong[0, 1] < 1


def test_rates_across_legal_ages_leave_out_whom_nobody_is() -> None:
    assert rates_across([18, 12, 30], [17, 12, 40])["false_adult@18"] == 0.5
    assert rates_across([17, 12, 30], [18, 12, 40])["false_minor@18"] == 0.5
    assert set(rates_across([30, 31], [35, 40])) == {f"false_minor@{one}" for one in LEGAL_AGES}


@pytest.fixture(scope="module")
def posterior() -> np.ndarray:
    """Distributions [400, 81] around the estimates."""
    distances = np.subtract.outer(ESTIMATES, np.asarray(SCALE.years))
    rows = np.exp(-np.square(distances) / 50) + 1e-6
    return np.asarray(rows / rows.sum(axis=1, keepdims=True))


def test_errors_against_scikit_learn() -> None:
    assert mae(ESTIMATES, AGES) == pytest.approx(
        sklearn.metrics.mean_absolute_error(AGES, ESTIMATES)
    )
    assert rmse(ESTIMATES, AGES) == pytest.approx(
        sklearn.metrics.root_mean_squared_error(AGES, ESTIMATES)
    )
    assert median_absolute_error(ESTIMATES, AGES) == pytest.approx(
        sklearn.metrics.median_absolute_error(AGES, ESTIMATES)
    )


def test_bias_against_a_loop() -> None:
    total = 0.0
    for estimate, age in zip(ESTIMATES, AGES, strict=True):
        total += estimate - age
    assert bias(ESTIMATES, AGES) == pytest.approx(total / 400)
    assert bias([30], [20]) == 10


@pytest.mark.parametrize("k", [3, 5, 7])
def test_cumulative_shares_against_loops(k: int) -> None:
    at_most = sum(1 for estimate, age in PAIRS if abs(estimate - age) <= k) / 400
    below = sum(1 for estimate, age in PAIRS if abs(estimate - age) < k) / 400
    assert cs_at(WHOLE, AGES, k) == pytest.approx(at_most)
    assert ca_at(WHOLE, AGES, k, convention="at_most") == pytest.approx(at_most)
    assert ca_at(WHOLE, AGES, k, convention="below") == pytest.approx(below)
    assert below < at_most
    assert METRICS[f"cs@{k}"](WHOLE, AGES) == pytest.approx(at_most)
    assert METRICS[f"ca_at_most@{k}"](WHOLE, AGES) == pytest.approx(at_most)
    assert METRICS[f"ca_below@{k}"](WHOLE, AGES) == pytest.approx(below)


def test_catastrophic_errors_against_a_loop() -> None:
    for k in (10, 20):
        expected = sum(1 for estimate, age in PAIRS if abs(estimate - age) >= k) / 400
        assert ce_at(WHOLE, AGES, k) == pytest.approx(expected)
        assert METRICS[f"ce@{k}"](WHOLE, AGES) == pytest.approx(expected)
    assert ce_at(WHOLE, AGES, 10) > 0


def test_the_epsilon_error_against_a_loop() -> None:
    std = RNG.uniform(0.5, 8, 400)
    total = 0.0
    for estimate, mean, spread in zip(ESTIMATES, AGES, std, strict=True):
        total += 1 - math.exp(-((estimate - mean) ** 2) / (2 * spread**2))
    assert epsilon_error(ESTIMATES, AGES, std) == pytest.approx(total / 400)


def test_balanced_errors_against_dlordinal() -> None:
    # The reference numbers the classes that occur, so all must occur.
    labels = np.concatenate([AGES, np.arange(90)]).astype(int)
    classes = np.clip(labels + RNG.integers(-9, 10, labels.size), 0, 89)
    assert amae(classes, labels) == pytest.approx(reference_amae(labels, classes))
    assert mmae(classes, labels) == pytest.approx(reference_mmae(labels, classes))


def test_accuracy_and_regularity_against_loops() -> None:
    groups: dict[int, list[float]] = {}
    for estimate, age in zip(ESTIMATES, AGES, strict=True):
        group = 7 if age > 70 else 0 if age <= 10 else math.ceil(age / 10) - 1
        groups.setdefault(group, []).append(abs(estimate - age))
    overall = sum(sum(errors) for errors in groups.values()) / 400
    squares = [(sum(errors) / len(errors) - overall) ** 2 for errors in groups.values()]
    assert len(groups) == 8
    expected = max(0, 7 - overall) + max(0, 3 - math.sqrt(sum(squares) / 8))
    assert aar(ESTIMATES, AGES) == pytest.approx(expected)


def test_gender_accuracy_against_scikit_learn() -> None:
    words = np.array(["female", "male"])
    label, estimate = words[RNG.integers(0, 2, 100)], words[RNG.integers(0, 2, 100)]
    expected = sklearn.metrics.accuracy_score(label, estimate)
    assert gender_accuracy(estimate, label) == pytest.approx(expected)


def test_ethnicity_accuracy_against_scikit_learn() -> None:
    words = np.array(["Asian", "Black", "White"])
    label, estimate = words[RNG.integers(0, 3, 100)], words[RNG.integers(0, 3, 100)]
    expected = sklearn.metrics.accuracy_score(label, estimate)
    assert METRICS["ethnicity_accuracy"](estimate, label) == pytest.approx(expected)


def test_class_accuracies_against_libraries() -> None:
    label, estimate = RNG.integers(0, 8, 300), RNG.integers(0, 8, 300)
    assert class_accuracy(estimate, label) == pytest.approx(
        sklearn.metrics.accuracy_score(label, estimate)
    )
    assert one_off_accuracy(estimate, label) == pytest.approx(accuracy_off1(label, estimate))


def test_the_mean_over_subjects_against_a_loop() -> None:
    subject = RNG.integers(0, 30, 400)
    means = []
    for one in set(subject.tolist()):
        errors = [abs(e - a) for e, a, s in zip(ESTIMATES, AGES, subject, strict=True) if s == one]
        means.append(sum(errors) / len(errors))
    assert subject_mae(ESTIMATES, AGES, subject) == pytest.approx(sum(means) / len(means))
    names = np.array([f"s{number}" for number in subject])
    assert subject_mae(ESTIMATES, AGES, names) == pytest.approx(sum(means) / len(means))


def test_interval_figures_against_loops() -> None:
    low, high = ESTIMATES - 5, ESTIMATES + 7
    inside = sum(1 for a, b, age in zip(low, high, AGES, strict=True) if a <= age <= b)
    assert coverage(low, high, AGES) == pytest.approx(inside / 400)
    assert mean_width(low, high) == pytest.approx(12)


def test_crps_against_its_energy_form(posterior: np.ndarray) -> None:
    years = np.asarray(SCALE.years)
    gaps = np.abs(np.subtract.outer(years, years))
    expected = []
    for row, age in zip(posterior, AGES, strict=True):
        expected.append(row @ np.abs(years - age) - row @ gaps @ row / 2)
    np.testing.assert_allclose(crps_of_each(posterior, AGES, SCALE), expected, atol=1e-9)
    assert crps(posterior, AGES, SCALE) == pytest.approx(np.mean(expected))


def test_crps_is_the_ranked_probability_score_on_whole_years() -> None:
    rows = RNG.dirichlet(np.ones(6), 50)
    label = RNG.integers(0, 6, 50)
    expected = ranked_probability_score(label, rows)
    assert crps(rows, label, AgeScale.yearly(0, 5)) == pytest.approx(expected)


def test_the_integral_transform_against_a_loop(posterior: np.ndarray) -> None:
    found = pit_of_each(posterior, AGES, SCALE)
    for row, age, share in zip(posterior, AGES, found, strict=True):
        below = 0.0
        for mass, (low, high) in zip(row, pairwise(SCALE.edges_years), strict=True):
            below += mass * min(max((age - low) / (high - low), 0), 1)
        assert share == pytest.approx(below, abs=1e-9)


def test_the_integral_transform_inverts_the_quantile(posterior: np.ndarray) -> None:
    for q in (0.1, 0.5, 0.9):
        ages = SCALE.quantile(posterior, q)
        np.testing.assert_allclose(pit_of_each(posterior, ages, SCALE), q, atol=1e-9)


def test_the_calibration_error_against_a_loop(posterior: np.ndarray) -> None:
    shares = pit_of_each(posterior, AGES, SCALE)
    gaps = []
    for step in range(1, 20):
        level = step / 20
        gaps.append(abs(sum(1 for share in shares if share <= level) / 400 - level))
    found = calibration_error(posterior, AGES, SCALE)
    assert found == pytest.approx(sum(gaps) / 19, abs=1e-3)
    assert METRICS["calibration_error"](shares) == found
    even = (np.arange(1000) + 0.5) / 1000
    assert METRICS["calibration_error"](even) == pytest.approx(0, abs=1e-3)
