from dataclasses import replace

import pytest

from agelens.inference.age_gates import AgeGate
from agelens.records import AgeEstimate


def looks(estimate_years: float, refer: str | None = None) -> AgeEstimate:
    return AgeEstimate(estimate_years, estimate_years, 0, 99, 0.9, None, None, refer=refer)


@pytest.mark.parametrize(
    ("age", "decision"),
    [(17.99, "fail"), (18, "refer"), (24.99, "refer"), (25, "pass"), (80, "pass")],
)
def test_decisions_at_the_borders(age: float, decision: str) -> None:
    assert AgeGate(18, 25).decide(looks(age)) == decision


def test_a_picture_that_allows_no_estimate_is_referred_however_old_it_looks() -> None:
    assert AgeGate(18, 25).decide(replace(looks(70), refer="blurred")) == "refer"


def test_an_age_that_is_no_number_is_referred() -> None:
    assert AgeGate(18, 25).decide_age(float("nan")) == "refer"


@pytest.mark.parametrize(("legal", "challenge"), [(18, 17), (0, 5), (-1, 3), (18, float("nan"))])
def test_gates_that_make_no_sense_are_refused(legal: float, challenge: float) -> None:
    with pytest.raises(ValueError, match="0 < legal age <= challenge age"):
        AgeGate(legal, challenge)
