from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from agelens.ages import AgeScale
from agelens.errors import UnknownNameError, UsageError
from agelens.evaluation.conformal import Labelled, Way, calibrate_level, correct_bias
from agelens.inference.calibration import INTERVAL_SCORES, IntervalCalibration


def calibrate_intervals(labelled: Labelled, seed: int = 0, **how: Any) -> IntervalCalibration:
    return calibrate_level(labelled, Way(**how), seed=seed).intervals


def covers(labelled: Labelled, calibration: IntervalCalibration) -> np.ndarray:
    groups = None
    if calibration.column is not None and labelled.groups is not None:
        groups = labelled.groups.tolist()
    low, high = calibration.apply(
        labelled.estimate_years, labelled.low_years, labelled.high_years, groups
    )
    return (low <= labelled.age_years) & (labelled.age_years <= high)


def crowd(seed: int, count: int = 2000, photos: int = 1) -> Labelled:
    """People whose error grows with age, under a network that claims a third of it."""
    rng = np.random.default_rng(seed)
    ages = np.repeat(rng.uniform(1, 80, count // photos), photos)
    spread = 2 + ages / 10
    estimates = np.maximum(ages + rng.normal(0, spread), 0)
    half = spread * 0.5
    groups = rng.choice(np.array(["female", "male", None], dtype=object), len(ages))
    people = np.repeat(np.arange(count // photos), photos).astype(str)
    return Labelled(ages, estimates, estimates - half, estimates + half, 0.9, people, groups)


def without_groups(labelled: Labelled) -> Labelled:
    return Labelled(
        labelled.age_years,
        labelled.estimate_years,
        labelled.low_years,
        labelled.high_years,
        labelled.level,
        labelled.people,
    )


def scores(labelled: Labelled, score: str) -> Any:
    error = np.abs(labelled.age_years - labelled.estimate_years)
    if score == "absolute":
        return error
    if score == "normalised":
        return error / ((labelled.high_years - labelled.low_years) / 2)
    return np.maximum(
        labelled.low_years - labelled.age_years, labelled.age_years - labelled.high_years
    )


@pytest.mark.parametrize("score", INTERVAL_SCORES)
def test_the_correction_is_the_conformal_quantile(score: Any) -> None:
    labelled = without_groups(crowd(0))
    place = int(np.ceil((len(labelled.age_years) + 1) * 0.9)) - 1
    expected = np.sort(scores(labelled, score))[place]
    (found,) = calibrate_intervals(labelled, score=score).corrections[""]
    assert found == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("score", INTERVAL_SCORES)
def test_new_people_are_covered_as_often_as_promised(score: Any) -> None:
    calibration = calibrate_intervals(crowd(1), score=score, bins=5, column="gender")
    assert 0.88 <= calibration.coverage <= 0.92
    fresh = crowd(2, 8000)
    assert covers(fresh, calibration).mean() == pytest.approx(0.9, abs=0.02)


def test_bins_cover_the_old_as_well_as_the_young() -> None:
    fresh = crowd(4, 8000)
    one, ten = (
        calibrate_intervals(without_groups(crowd(3)), score="absolute", bins=b) for b in (1, 10)
    )
    old = fresh.estimate_years > 60
    assert covers(fresh, one)[old].mean() < 0.85
    assert covers(fresh, ten)[old].mean() > 0.87


def test_bins_of_the_true_age_hold_those_who_do_not_look_it() -> None:
    """The network takes everybody past 60 for 60: by the estimate alone it misses the oldest."""

    def shy(seed: int) -> Labelled:
        labelled = without_groups(crowd(seed, 6000))
        estimates = np.minimum(labelled.estimate_years, 60)
        return replace(
            labelled,
            estimate_years=estimates,
            low_years=np.maximum(estimates - 4, 0),
            high_years=estimates + 4,
        )

    fresh = shy(12)
    by_estimate, by_age = (
        calibrate_intervals(shy(11), bins=10, bins_of=what) for what in ("estimate", "age")
    )
    oldest = fresh.age_years > 75
    assert covers(fresh, by_estimate)[oldest].mean() < 0.6
    for first in range(0, 80, 10):
        decade = (fresh.age_years >= first) & (fresh.age_years < first + 10)
        assert 0.85 <= covers(fresh, by_age)[decade].mean() <= 1.0
    assert 0.88 <= by_age.coverage <= 0.95


def test_a_small_group_takes_everybodys_numbers() -> None:
    labelled = crowd(5)
    assert labelled.groups is not None
    labelled.groups[:20] = "rare"
    found = calibrate_intervals(labelled, column="gender")
    assert sorted(found.corrections) == ["", "female", "male"]


def test_folds_keep_a_persons_photos_together() -> None:
    """Were the photos of a person in two folds, near copies would make coverage look exact."""
    several = without_groups(crowd(6, photos=10))
    first = calibrate_intervals(several, seed=0)
    assert first == calibrate_intervals(several, seed=0)
    assert first.coverage != calibrate_intervals(several, seed=1).coverage


def test_the_bias_curve_removes_bias_of_its_own_table() -> None:
    labelled = crowd(7)
    shifted = Labelled(
        labelled.age_years,
        labelled.estimate_years + 5,
        labelled.low_years + 5,
        labelled.high_years + 5,
        0.9,
        labelled.people,
    )
    bias = correct_bias(shifted, scale=AgeScale.yearly(0, 100))
    corrected = shifted.corrected(bias)
    assert np.mean(corrected.estimate_years - corrected.age_years) == pytest.approx(0, abs=0.05)
    before = np.abs(shifted.estimate_years - shifted.age_years).mean()
    assert np.abs(corrected.estimate_years - corrected.age_years).mean() < before - 2


def test_bad_input_is_refused() -> None:
    labelled = crowd(8, 50)
    with pytest.raises(UsageError, match="9 samples are too few"):
        calibrate_intervals(labelled.rows(np.arange(9)), column="gender")
    with pytest.raises(UsageError, match="one person"):
        calibrate_intervals(replace(labelled, people=np.full(50, "a")), column="gender")
    with pytest.raises(UnknownNameError, match="interval score 'quantil'"):
        calibrate_intervals(labelled, score="quantil", column="gender")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="name of their column"):
        calibrate_intervals(labelled)
    with pytest.raises(UsageError, match="at least 1 bin"):
        calibrate_intervals(labelled, bins=0, column="gender")
    broken = labelled.estimate_years.copy()
    broken[0] = np.nan
    with pytest.raises(UsageError, match="in every row"):
        Labelled(labelled.age_years, broken, broken, broken, 0.9, labelled.people)
    alike = np.full(50, 30.0)
    with pytest.raises(UsageError, match="all alike"):
        correct_bias(Labelled(labelled.age_years, alike, alike, alike, 0.9, labelled.people))


def two_sets(seed: int) -> Labelled:
    """Many people, and fewer of another dataset, on whom the network errs twice as much."""
    many, few = without_groups(crowd(seed, 3000)), without_groups(crowd(seed + 100, 600))
    off = few.age_years + 2 * (few.estimate_years - few.age_years)
    half = (few.high_years - few.low_years) / 2
    return Labelled(
        np.concatenate([many.age_years, few.age_years]),
        np.concatenate([many.estimate_years, off]),
        np.concatenate([many.low_years, off - half]),
        np.concatenate([many.high_years, off + half]),
        0.9,
        np.arange(3600).astype(str),
        sets=np.array(["many"] * 3000 + ["few"] * 600, dtype=object),
    )


@pytest.mark.parametrize("bins_of", ["estimate", "age"])
def test_each_dataset_is_held_where_their_mix_would_hold_one(bins_of: Any) -> None:
    known, fresh = two_sets(7), two_sets(8)
    assert fresh.sets is not None
    mixed, each = (
        calibrate_level(known, Way(bins=6, bins_of=bins_of, each_set=share)).intervals
        for share in (None, 0.03)
    )
    few = fresh.sets == "few"
    assert covers(fresh, mixed)[few].mean() < 0.8
    assert covers(fresh, each)[few].mean() > 0.84
    young = few & (fresh.age_years < 20)
    assert covers(fresh, each)[young].mean() > 0.8
    assert covers(fresh, each)[~few].mean() > covers(fresh, mixed)[~few].mean()


def test_a_small_dataset_is_held_over_the_bins_that_it_has_people_in() -> None:
    known = two_sets(9)
    assert known.sets is not None
    old_few = np.flatnonzero((known.sets == "few") & (known.age_years > 60))[:60]
    part = known.rows(np.concatenate([np.flatnonzero(known.sets == "many"), old_few]))
    way = Way(bins=8, bins_of="age")
    mixed, each = (
        calibrate_level(part, replace(way, each_set=share)).intervals for share in (None, 0.03)
    )
    held = [covers(known.rows(old_few), found).mean() for found in (mixed, each)]
    assert held[0] < 0.87 <= held[1]
    assert each.corrections[""][:4] == mixed.corrections[""][:4]


def test_shares_of_datasets_that_cannot_be_are_refused() -> None:
    with pytest.raises(UsageError, match="score quantile"):
        Way("absolute", each_set=0.03)
    with pytest.raises(UsageError, match="0 to 1 below"):
        Way(each_set=1.0)
