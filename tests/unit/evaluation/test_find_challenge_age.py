from typing import Any

import numpy as np
import pytest

from agelens.errors import UsageError
from agelens.evaluation.age_gates import find_challenge_age
from agelens.evaluation.rates import rate
from agelens.inference.age_gates import AgeGate
from agelens.tables import PredictionsTable


def predictions(ages: Any, estimates: Any, **columns: Any) -> PredictionsTable:
    known = {
        "sample_id": [str(i) for i in range(len(ages))],
        "dataset": "d",
        "age_years": ages,
        "age_kind": "real",
        "estimate_years": estimates,
    }
    return PredictionsTable.from_columns(known | columns)


@pytest.fixture(scope="module")
def crowd() -> PredictionsTable:
    rng = np.random.default_rng(7)
    ages = rng.integers(8, 60, 3000)
    estimates = np.maximum(ages + rng.normal(0, 4, 3000), 0)
    return predictions(ages, estimates, gender=rng.choice(["female", "male"], 3000))


def test_the_challenge_age_is_the_lowest_that_keeps_its_promise(crowd: PredictionsTable) -> None:
    found = find_challenge_age(crowd, legal_years=18, max_false_accept=0.02)
    assert found.gate is not None
    assert found.promised
    frame = crowd.frame
    minors = frame.loc[frame["age_years"].between(13, 17), "estimate_years"].to_numpy()
    challenge = found.gate.challenge_years
    assert rate(minors >= challenge, level=0.9).high <= 0.02
    assert rate(minors >= challenge - 0.5, level=0.9).high > 0.02


def test_rates_equal_a_plain_count(crowd: PredictionsTable) -> None:
    found = find_challenge_age(crowd, legal_years=18, max_false_accept=0.02)
    assert found.gate is not None
    for year in found.by_year:
        accepted = rejected = minors = adults = 0
        for age, estimate in crowd.frame[["age_years", "estimate_years"]].to_numpy():
            if int(age) != float(year.group):
                continue
            if age < 18:
                minors += 1
                accepted += estimate >= found.gate.challenge_years
            else:
                adults += 1
                rejected += estimate < found.gate.challenge_years
        assert (year.false_accept.errors, year.false_accept.samples) == (accepted, minors)
        assert (year.false_reject.errors, year.false_reject.samples) == (rejected, adults)
    genders = found.by_group["gender"]
    assert [group.group for group in genders] == ["female", "male"]
    assert sum(group.false_reject.samples for group in genders) + found.minors == found.counted
    assert "ethnicity" not in found.by_group  # nobody's is known


def test_too_few_minors_promise_nothing() -> None:
    ages = [15] * 50 + [40] * 200
    found = find_challenge_age(predictions(ages, ages), legal_years=18, max_false_accept=0.01)
    assert not found.promised
    assert (found.minors, found.needed) == (50, 299)
    assert found.overall is None


def test_many_photos_of_few_minors_promise_nothing_either() -> None:
    ages = [15] * 400 + [40] * 200
    people = [str(i % 40) for i in range(400)] + [f"adult {i}" for i in range(200)]
    several = predictions(ages, ages, subject=people)
    assert find_challenge_age(predictions(ages, ages), legal_years=18, max_false_accept=0.01).gate
    assert not find_challenge_age(several, legal_years=18, max_false_accept=0.01).promised


def test_small_children_need_not_count(crowd: PredictionsTable) -> None:
    every = find_challenge_age(crowd, legal_years=18, max_false_accept=0.05, youngest_years=0)
    near = find_challenge_age(crowd, legal_years=18, max_false_accept=0.05, youngest_years=15)
    assert every.gate is not None
    assert near.gate is not None
    assert near.gate.challenge_years > every.gate.challenge_years
    assert near.left_out["younger than counted"] + near.counted == len(crowd)


def test_rows_without_age_or_estimate_are_counted(crowd: PredictionsTable) -> None:
    frame = crowd.frame.copy()
    frame.loc[:4, "estimate_years"] = np.nan
    frame["status"] = ["no_face"] * 5 + ["ok"] * (len(frame) - 5)
    frame.loc[10:11, "age_years"] = np.nan
    table = PredictionsTable(frame)
    found = find_challenge_age(table, legal_years=18, max_false_accept=0.05, youngest_years=0)
    assert found.left_out == {"no age": 2, "no estimate": 5}


@pytest.mark.parametrize(("ages", "lacking"), [([30, 40], "is under"), ([14, 15], "has reached")])
def test_a_gate_beyond_the_data_is_refused(ages: list[int], lacking: str) -> None:
    with pytest.raises(UsageError, match=f"nobody of the 2 people in the table {lacking}"):
        find_challenge_age(predictions(ages, ages), legal_years=18, max_false_accept=0.1)


def test_impossible_limits_are_refused(crowd: PredictionsTable) -> None:
    with pytest.raises(UsageError, match="between 0 and 1"):
        find_challenge_age(crowd, legal_years=18, max_false_accept=1.5)


def test_the_gate_is_one_that_decides(crowd: PredictionsTable) -> None:
    found = find_challenge_age(crowd, legal_years=18, max_false_accept=0.02)
    assert isinstance(found.gate, AgeGate)
    assert found.gate.decide_age(found.gate.challenge_years) == "pass"


def test_the_far_younger_are_left_out_unless_asked_for(crowd: PredictionsTable) -> None:
    near = find_challenge_age(crowd, legal_years=18, max_false_accept=0.02)
    whole = find_challenge_age(crowd, legal_years=18, max_false_accept=0.02, youngest_years=0)
    ages = crowd.frame["age_years"]
    assert near.youngest_years == 13
    assert near.mix == {str(year): int((ages == year).sum()) for year in range(13, 18)}
    assert list(whole.mix) == [str(year) for year in range(8, 18)]
    assert near.left_out["younger than counted"] == int((ages < 13).sum())
    assert near.gate is not None
    assert whole.gate is not None
    assert near.gate.challenge_years > whole.gate.challenge_years


def test_the_curve_has_both_errors_at_every_half_year(crowd: PredictionsTable) -> None:
    found = find_challenge_age(crowd, legal_years=18, max_false_accept=0.02)
    frame = crowd.frame[crowd.frame["age_years"] >= 13]
    age, estimate = frame["age_years"].to_numpy(), frame["estimate_years"].to_numpy()
    challenges = [float(one.group) for one in found.curve]
    assert challenges == [18 + number / 2 for number in range(len(challenges))]
    for challenge, one in zip(challenges, found.curve, strict=True):
        assert one.false_accept.share == pytest.approx((estimate[age < 18] >= challenge).mean())
        assert one.false_reject.share == pytest.approx((estimate[age >= 18] < challenge).mean())
    assert found.curve[-1].false_accept.errors == 0
    few = find_challenge_age(crowd.select(np.arange(60)), legal_years=18, max_false_accept=0.001)
    assert few.gate is None
    assert few.curve


def test_who_was_left_out_is_said_where_nobody_is_left() -> None:
    babies = predictions([1, 2, 30], [1, 2, 30])
    with pytest.raises(UsageError, match="2 younger ones were left out, which --from-age 0 counts"):
        find_challenge_age(babies, legal_years=18, max_false_accept=0.5)
