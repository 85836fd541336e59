"""Two photos compared: the verdict, and photos that cannot be compared."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from agelens.errors import PhotoError, UsageError
from agelens.inference.estimator import AgeEstimator
from agelens.recognition.extractors import open_extractor
from agelens.recognition.measured_rates import AgeRates, MeasuredRate
from agelens.recognition.photo_pair import PhotoVerifier
from agelens.records import RGB


@pytest.fixture(scope="module")
def verifier(colour_card: Path, estimator: AgeEstimator) -> PhotoVerifier:
    return PhotoVerifier(open_extractor(colour_card), estimator)


def test_a_photo_is_of_the_person_it_is_of(
    verifier: PhotoVerifier, heads: dict[str, Path], estimator: AgeEstimator
) -> None:
    verdict = verifier.verify(heads["grey"], heads["grey"])
    assert verdict.similarity == pytest.approx(1)
    assert verdict.same_person
    assert verdict.smallest_rate == 0.001
    alone = estimator.estimate(heads["grey"]).faces[0]
    assert verdict.second.estimate.estimate_years == alone.estimate_years


def test_another_colour_is_another_person(verifier: PhotoVerifier, heads: dict[str, Path]) -> None:
    verdict = verifier.verify(heads["red"], heads["green"])
    assert not verdict.same_person
    assert verdict.similarity < verdict.decided_by.threshold
    assert verifier.verify(heads["green"], heads["red"]).similarity == pytest.approx(
        verdict.similarity
    )


def test_the_verdict_says_what_it_rests_on(verifier: PhotoVerifier, heads: dict[str, Path]) -> None:
    row: dict[str, Any] = json.loads(
        json.dumps(verifier.verify(heads["red"], heads["grey"]).to_json(), allow_nan=False)
    )
    assert row["false_match_rate"] == 0.001
    assert row["threshold"] == 0.999
    assert row["measured_on"]["dataset"] == "toys"
    assert row["measured_on"]["people"] == 40
    assert row["measured_on"]["different_pairs"] == 3120
    assert row["measured_on"]["youngest"] is None
    for side in ("first", "second"):
        assert row[side]["low_years"] <= row[side]["estimate_years"] <= row[side]["high_years"]


def test_of_two_children_the_rate_does_not_hold(
    verifier: PhotoVerifier, heads: dict[str, Path]
) -> None:
    verdict = verifier.verify(heads["grey"], heads["grey"])
    assert verdict.caution is None
    child = replace(verdict.first, estimate=replace(verdict.first.estimate, estimate_years=9.0))
    assert "age gap" in str(replace(verdict, first=child).caution)
    children = replace(verdict, first=child, second=child)
    assert "children" in str(children.caution)
    assert children.to_json()["caution"] == children.caution


CELL = AgeRates(
    "0-5",
    "20+",
    "old photos",
    people=30,
    different_pairs=900,
    same_pairs=50,
    same_people=20,
    rates=(MeasuredRate(0.01, 0.8, 0.008, 0.0, 0.02, 0.4, 0.3, 0.5),),
)


def test_at_certain_ages_what_was_measured_there_decides(
    verifier: PhotoVerifier, heads: dict[str, Path]
) -> None:
    verdict = verifier.verify(heads["grey"], heads["red"])
    grown = replace(verdict.second, estimate=replace(verdict.second.estimate, estimate_years=30.0))
    verdict = replace(verdict, first=grown, second=grown)
    child = replace(verdict.first, estimate=replace(verdict.first.estimate, estimate_years=4.0))
    rates = replace(verdict.rates, by_age=(CELL,))
    alike = replace(verdict, first=child, rates=rates, similarity=0.85, false_match_rate=0.01)
    assert alike.same_person is True
    assert alike.decided_by == CELL.rates[0]
    assert "900 pairs of 30 strangers of old photos" in alike.sentences()[1]
    unlike = replace(alike, similarity=0.7)
    assert unlike.same_person is None
    assert "cannot tell" in unlike.sentences()[0]
    assert "a no says nothing" in unlike.sentences()[1]
    row = unlike.to_json()
    assert (row["same_person"], row["called"], row["threshold"]) == (None, "cannot tell", 0.8)
    assert row["measured_on"]["true_match_rate"] == 0.4
    promising = replace(CELL, rates=(replace(CELL.rates[0], true_match_rate=0.5),))
    assert replace(unlike, rates=replace(rates, by_age=(promising,))).same_person is False
    smaller = replace(alike, false_match_rate=0.001)
    assert smaller.same_person is None
    assert "too few" in smaller.sentences()[1]
    assert smaller.to_json()["threshold"] is None
    adults = replace(verdict, rates=rates)
    assert adults.decision.ages is None


def test_a_face_that_the_edge_cuts_off_is_referred(
    verifier: PhotoVerifier, astronaut: RGB, head: RGB
) -> None:
    cut = head[:, 45:]
    verdict = verifier.verify(cut, astronaut)
    assert "share of the face in the photo" in str(verdict.caution)
    assert "is below 0.9" in verdict.sentences()[1]


def test_no_face_two_faces_and_no_photo_are_refused(
    verifier: PhotoVerifier, heads: dict[str, Path]
) -> None:
    with pytest.raises(PhotoError, match=r"none\.png: no face found") as refused:
        verifier.verify(heads["grey"], heads["none"])
    assert refused.value.status == "no_face"
    with pytest.raises(UsageError, match=r"two\.png: 2 faces found.*--face largest"):
        verifier.verify(heads["two"], heads["grey"])
    with pytest.raises(PhotoError, match="no such file"):
        verifier.verify(heads["grey"], heads["grey"].with_name("absent.png"))


def test_the_largest_of_two_faces_can_be_taken(
    colour_card: Path, estimator: AgeEstimator, heads: dict[str, Path]
) -> None:
    verifier = PhotoVerifier(open_extractor(colour_card), estimator, largest=True)
    assert verifier.verify(heads["two"], heads["grey"]).first.faces_found == 2


def test_the_command_prints_the_verdict(
    agelens: Callable[..., Any], colour_card: Path, heads: dict[str, Path], tmp_path: Path
) -> None:
    ran = agelens("verify", heads["grey"], heads["red"], "--extractor", colour_card)
    assert ran.status == 0
    assert "not the same person at a false match rate of 0.001" in ran.out
    assert "3,120 pairs" in ran.out
    assert "looks" in ran.out
    assert not list(tmp_path.iterdir())
    as_json = agelens(
        "verify", heads["grey"], heads["grey"], "--extractor", colour_card, "--json",
        "--false-match-rate", "0.02",
    )  # fmt: skip
    assert as_json.rows[0]["same_person"] is True
    assert as_json.rows[0]["false_match_rate"] == 0.01
    page = tmp_path / "both"
    drawn = agelens(
        "verify", heads["grey"], heads["red"], "--extractor", colour_card, "-o", page
    )  # fmt: skip
    assert drawn.status == 0
    assert (page / "index.html").read_text().count("data:image/jpeg") == 2
    assert json.loads((page / "verdict.json").read_text())["same_person"] is False
    assert agelens("verify", heads["grey"], heads["red"], "-o", page).status == 2


@pytest.mark.parametrize(
    ("photo", "options", "status", "message"),
    [
        ("none", [], 3, "no face found"),
        ("two", [], 2, "2 faces found"),
        ("absent", [], 3, "no such file"),
        ("grey", ["--false-match-rate", "1e-9"], 2, "cannot be promised"),
    ],
)
def test_the_command_refuses(  # the photo, or the rate
    *,
    photo: str,
    options: list[str],
    status: int,
    message: str,
    agelens: Callable[..., Any],
    colour_card: Path,
    heads: dict[str, Path],
) -> None:
    second = heads["grey"].with_name(f"{photo}.png")
    ran = agelens("verify", heads["grey"], second, "--extractor", colour_card, *options)
    assert ran.status == status
    assert message in ran.err
    assert not ran.out
