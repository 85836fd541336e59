"""Face tracks: who keeps which id, and what the smoothed age is."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agelens.ages import AgeScale
from agelens.inference.answers import Link, OutputSpec, survival_probabilities
from agelens.inference.tracks import FaceTracker
from agelens.records import AgeEstimate, Face, Floats, TrackAge

SCALE = AgeScale.yearly(0, 80)
SPEC = OutputSpec(SCALE)


def peak(age: int) -> Floats:
    row = np.exp(-((np.arange(81) - age) ** 2) / 8)
    return row / row.sum()


def estimate(
    box: Sequence[float] | None = (0, 0, 100, 100), distribution: Floats | None = None
) -> AgeEstimate:
    found = None if box is None else Face(np.array(box, dtype=float), np.zeros((5, 2)), 0.9)
    return AgeEstimate(30, 30, 25, 35, 0.9, None, distribution, face=found)


def at(x: float, y: float = 0, size: float = 100, age: int = 30) -> AgeEstimate:
    return estimate((x, y, x + size, y + size), peak(age))


def track_of(face: AgeEstimate) -> TrackAge:
    assert face.track is not None
    return face.track


def ids(faces: Sequence[AgeEstimate]) -> list[int]:
    return [track_of(face).track for face in faces]


def test_two_faces_crossing_slowly_keep_their_ids() -> None:
    tracker = FaceTracker(SPEC)
    rng = np.random.default_rng(1)
    for t in range(101):
        jitter = rng.normal(0, 0.3, size=2)
        rightward, leftward = at(4 * t + jitter[0], age=20), at(400 - 4 * t + jitter[1], age=60)
        faces = [rightward, leftward] if t % 2 == 0 else [leftward, rightward]
        expected = [1, 2] if t % 2 == 0 else [2, 1]
        assert ids(tracker.update(faces)) == expected, f"frame {t}"


@pytest.mark.parametrize(("gap", "same"), [(0, True), (1, True), (3, True), (4, False), (9, False)])
def test_a_gap_up_to_the_patience_keeps_the_id(gap: int, same: bool) -> None:
    tracker = FaceTracker(SPEC, patience=3)
    assert ids(tracker.update([at(0)])) == [1]
    for _ in range(gap):
        assert tracker.update([]) == ()
    found = track_of(tracker.update([at(3)])[0])
    assert (found.track, found.frames) == ((1, 2) if same else (2, 1))


def test_patience_zero_allows_no_gap() -> None:
    tracker = FaceTracker(SPEC, patience=0)
    assert ids(tracker.update([at(0)])) == ids(tracker.update([at(0)])) == [1]
    tracker.update([])
    assert ids(tracker.update([at(0)])) == [2]


def test_only_unseen_tracks_grow_old() -> None:
    tracker = FaceTracker(SPEC, patience=2)
    tracker.update([at(0), at(500)])
    for _ in range(5):
        assert ids(tracker.update([at(500)])) == [2]
    assert ids(tracker.update([at(0), at(500)])) == [3, 2]


@pytest.mark.parametrize(("shift", "same"), [(49, True), (51, False)])
def test_overlap_decides_at_its_threshold(shift: float, same: bool) -> None:
    # Shifted by s, boxes 100 wide overlap by (100 - s) / (100 + s): 1/3 at 50.
    tracker = FaceTracker(SPEC, min_overlap=1 / 3)
    tracker.update([at(0)])
    assert ids(tracker.update([at(shift)])) == [1 if same else 2]


def test_each_track_takes_one_face_the_better_one() -> None:
    tracker = FaceTracker(SPEC)
    tracker.update([at(0)])
    assert ids(tracker.update([at(20), at(5)])) == [2, 1]


def test_each_face_takes_one_track_the_better_one() -> None:
    tracker = FaceTracker(SPEC)
    tracker.update([at(0), at(40)])
    found = track_of(tracker.update([at(5)])[0])
    assert (found.track, found.frames) == (1, 2)
    assert ids(tracker.update([at(40), at(5)])) == [2, 1]


def test_a_gap_does_not_count_as_speed() -> None:
    tracker = FaceTracker(SPEC)
    seen_at = [*range(10), *range(12, 60, 3)]  # after the tenth, every third frame only
    for t in range(seen_at[-1] + 1):
        assert ids(tracker.update([at(19 * t)] if t in seen_at else [])) in ([], [1])
    # It stops. 19 pixels away from where it was expected overlaps enough, 57 would not.
    assert ids(tracker.update([at(19 * seen_at[-1])])) == [1]


def test_ids_count_up_and_are_not_used_again() -> None:
    tracker = FaceTracker(SPEC, patience=0)
    seen = []
    for t in range(4):
        seen += ids(tracker.update([at(1000 * t), at(1000 * t + 400)]))
    assert seen == [1, 2, 3, 4, 5, 6, 7, 8]


def test_order_and_estimates_are_kept() -> None:
    tracker = FaceTracker(SPEC)
    left, right = at(0, age=10), at(300, age=70)
    tracker.update([left, right])
    swapped = tracker.update([right, left])
    assert ids(swapped) == [2, 1]
    for given_face, returned in zip([right, left], swapped, strict=True):
        assert returned.face is given_face.face
        assert returned.distribution is given_face.distribution
        assert (returned.estimate_years, returned.low_years) == (30, 25)
        assert given_face.track is None


def test_smoothed_age_is_that_of_the_mean_distribution_so_far() -> None:
    rng = np.random.default_rng(2)
    tracker = FaceTracker(SPEC, level=0.8)
    so_far: list[Floats] = []
    for t in range(12):
        if t % 5 == 3:
            tracker.update([])
            continue
        so_far.append(rng.dirichlet(np.full(81, 0.2)))
        found = track_of(tracker.update([estimate(distribution=so_far[-1])])[0])
        mean = [sum(row[k] for row in so_far) / len(so_far) for k in range(81)]
        low, high = SCALE.interval([mean], 0.8)
        assert found.frames == len(so_far)
        assert found.estimate_years == pytest.approx(sum(k * mean[k] for k in range(81)))
        assert (found.low_years, found.high_years) == pytest.approx((low[0], high[0]))


def test_tracks_do_not_mix_their_ages() -> None:
    tracker = FaceTracker(SPEC)
    for _ in range(3):
        young, old = tracker.update([at(0, age=20), at(300, age=60)])
    assert track_of(young).estimate_years == pytest.approx(20, abs=0.01)
    assert track_of(old).estimate_years == pytest.approx(60, abs=0.01)


def test_the_interval_does_not_shrink_with_repetition() -> None:
    tracker = FaceTracker(SPEC)
    first, *_, last = [track_of(tracker.update([at(0)])[0]) for _ in range(50)]
    width = first.high_years - first.low_years
    assert last.high_years - last.low_years == pytest.approx(width)
    assert last.estimate_years == pytest.approx(first.estimate_years)


@pytest.mark.parametrize(
    ("bad", "complaint"),
    [
        (estimate(box=None, distribution=peak(30)), "estimate 1 has no face"),
        (estimate(), "estimate 1 has no distribution"),
        (estimate(distribution=np.ones(5) / 5), r"\[N, 81\]"),
        (estimate(distribution=np.full(81, math.nan)), "NaN"),
        (estimate((0, 0, math.nan, 1), peak(30)), "estimate 1: a box is four finite"),
        (estimate((0, 0, 1), peak(30)), "estimate 1: a box is four finite"),
    ],
)
def test_unusable_estimates_are_refused_and_change_nothing(
    bad: AgeEstimate, complaint: str
) -> None:
    tracker = FaceTracker(SPEC, patience=0)
    tracker.update([at(0)])
    with pytest.raises(ValueError, match=complaint):
        tracker.update([at(0), bad])
    found = track_of(tracker.update([at(0)])[0])
    assert (found.track, found.frames) == (1, 2)


@pytest.mark.parametrize(
    "options",
    [
        {"level": 0},
        {"level": 1},
        {"level": math.nan},
        {"min_overlap": 0},
        {"min_overlap": 1.5},
        {"min_overlap": math.nan},
        {"patience": -1},
    ],
)
def test_options_out_of_range_are_refused(options: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(options))):
        FaceTracker(SPEC, **options)  # type: ignore[arg-type]


corners = st.tuples(*[st.floats(-50, 300)] * 4)
"""Any four numbers: empty boxes and boxes inside out too."""


@given(st.lists(st.lists(corners, max_size=5), max_size=8), st.integers(0, 3))
def test_every_face_gets_a_track_of_its_own(
    frames: list[list[tuple[float, ...]]], patience: int
) -> None:
    tracker = FaceTracker(SPEC, patience=patience)
    counts: dict[int, int] = {}
    for boxes in frames:
        given_faces = [estimate(box, peak(40)) for box in boxes]
        found = tracker.update(given_faces)
        assert [face.face for face in found] == [face.face for face in given_faces]
        assert len(set(ids(found))) == len(boxes)
        for face in found:
            track = track_of(face)
            counts[track.track] = counts.get(track.track, 0) + 1
            assert track.frames == counts[track.track]
            assert 0 <= track.low_years <= track.high_years <= 80.5
    assert sorted(counts) == list(range(1, len(counts) + 1))


def test_an_age_with_its_spread_is_averaged_as_a_mixture() -> None:
    tracker = FaceTracker(OutputSpec(SCALE, "mean-spread"))
    answers = [np.array([20.0, 3.0]), np.array([30.0, 4.0]), np.array([31.0, 2.0])]
    for answer in answers:
        found = track_of(tracker.update([replace(at(0), distribution=None, answer=answer)])[0])
    mean = 27.0
    spread = math.sqrt(sum(s**2 + m**2 for m, s in answers) / 3 - mean**2)
    assert found.estimate_years == pytest.approx(mean)
    assert found.high_years - mean == pytest.approx(1.6449 * spread, abs=1e-3)
    assert mean - found.low_years == pytest.approx(1.6449 * spread, abs=1e-3)


@pytest.mark.parametrize("link", ["independent", "conditional"])
def test_ordinal_logits_are_averaged_as_probabilities(link: Link) -> None:
    spec = OutputSpec(SCALE, "ordinal-logits", point="rank", link=link)
    tracker = FaceTracker(spec)
    rows = np.random.default_rng(4).normal(2, 3, (5, 80))
    for row in rows:
        found = track_of(tracker.update([replace(at(0), answer=row)])[0])
    older = survival_probabilities(rows, link).mean(axis=0)
    assert found.estimate_years == (older > 0.5).sum()


@pytest.mark.parametrize(
    ("answer", "complaint"),
    [
        (None, "estimate 0 has no distribution"),
        (np.array([30.0]), r"\[N, 2\]"),
        (np.array([30.0, math.inf]), "NaN or infinity"),
        (np.array([30.0, -1.0]), "spread is negative"),
    ],
)
def test_an_answer_of_another_kind_is_refused(answer: Floats | None, complaint: str) -> None:
    tracker = FaceTracker(OutputSpec(SCALE, "mean-spread"))
    with pytest.raises(ValueError, match=complaint):
        tracker.update([replace(at(0), answer=answer)])
