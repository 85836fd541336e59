"""Who is who from frame to frame, and each person's age over all frames so far.

Faces are matched by the overlap of their boxes with where each track is expected, in
the manner of SORT (Bewley et al., ICIP 2016) with a plain running velocity in place of
its Kalman filter. Nothing looks at identity: a person who leaves for longer than the
patience comes back as a new track, and two faces that fully cover each other may swap.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from agelens.imaging.align import box_overlaps
from agelens.inference.answers import OutputSpec, point_and_interval, read_answers
from agelens.inference.calibration import Calibration
from agelens.inference.network import answer_of, averageable
from agelens.records import AgeEstimate, Floats, TrackAge

_VELOCITY_MEMORY = 0.5


@dataclass(slots=True, eq=False)
class _Track:
    """One person: the last box, its velocity [4] in pixels a frame, the sum of the answers."""

    number: int
    box_xyxy: Floats
    velocity: Floats
    seen_at: int
    frames: int
    mass: Floats

    @property
    def expected_box(self) -> Floats:
        """Where the next box should be; one step only, however long the face was away."""
        return self.box_xyxy + self.velocity

    def add(self, box_xyxy: Floats, answer: Floats, now: int) -> None:
        """Take in the face found at frame `now`."""
        step = (box_xyxy - self.box_xyxy) / (now - self.seen_at)
        centre_step = np.tile((step[:2] + step[2:]) / 2, 2)
        self.velocity += (1 - _VELOCITY_MEMORY) * (centre_step - self.velocity)
        self.box_xyxy, self.seen_at = box_xyxy, now
        self.frames += 1
        self.mass = self.mass + answer


class FaceTracker:
    """Gives the faces of successive frames lasting track ids and smoothed ages.

    The smoothed age is that of the mean of the track's distributions up to and with this
    frame, as the model's card takes an age from one, and the interval is that of the same
    mean. It does not shrink as
    frames add up, and must not: frames of one video share the face, the light and the
    camera, so the model's error is largely the same in each of them, and averaging removes only
    the jitter between frames. No coverage has been measured for these intervals.

    One tracker serves one video, frame after frame; it is not safe to share between threads.

    Args:
        spec: what the estimates' answers are.
        level: share of the mean distribution inside the interval.
        calibration: of the model's card: corrects the smoothed age as it does single ones.
        min_overlap: least intersection over union of a face with a track's expected box.
        patience: a track unseen for more than this many calls of `update` is closed.

    Raises:
        ValueError: an argument is out of its range.
    """

    def __init__(
        self,
        spec: OutputSpec,
        *,
        level: float = 0.9,
        calibration: Calibration | None = None,
        min_overlap: float = 0.3,
        patience: int = 10,
    ) -> None:
        if not 0 < level < 1:
            raise ValueError(f"level must be strictly between 0 and 1, got {level}")
        if not 0 < min_overlap <= 1:
            raise ValueError(f"min_overlap must be above 0 and at most 1, got {min_overlap}")
        if patience < 0:
            raise ValueError(f"patience must be at least 0 frames, got {patience}")
        self.spec = spec
        self.level = level
        self.calibration = calibration
        self.min_overlap = min_overlap
        self.patience = patience
        self._tracks: list[_Track] = []
        self._now = 0
        self._opened = 0

    def update(self, faces: Sequence[AgeEstimate]) -> tuple[AgeEstimate, ...]:
        """The estimates of the next frame, in the same order, each with its `track`.

        Call it for every frame, with no faces too: that is how gaps are counted. Ids
        count up from 1 and are never used twice.

        Raises:
            ValueError: an estimate has no face or no answer, its box is not four finite
                numbers, or its answer is none of `spec`; the tracker is then as before
                the call.
        """
        boxes, answers = _boxes(faces), self._answers(faces)
        self._now += 1
        self._tracks = [t for t in self._tracks if self._now - t.seen_at - 1 <= self.patience]
        tracks = self._follow(boxes, answers)
        return self._with_ages(faces, tracks)

    def _answers(self, faces: Sequence[AgeEstimate]) -> Floats:
        """Answers [N, width] of the faces, checked, in a form that can be averaged."""
        rows = np.empty((len(faces), self.spec.width))
        for position, face in enumerate(faces):
            answer = face.distribution if self.spec.kind == "posterior" else face.answer
            if answer is None:
                raise ValueError(f"estimate {position} has no distribution to average over frames")
            row = np.asarray(answer)[None]
            read = read_answers(row, self.spec)
            rows[position] = read.distribution if self.spec.kind == "posterior" else row
        return averageable(rows, self.spec)

    def _follow(self, boxes: Floats, answers: Floats) -> list[_Track]:
        """The track of each face, after taking it in; new ones for faces that match none."""
        expected = np.array([t.expected_box for t in self._tracks]).reshape(-1, 4)
        matched = _match(box_overlaps(expected, boxes), self.min_overlap)
        tracks = []
        for face, (box, answer) in enumerate(zip(boxes, answers, strict=True)):
            if face in matched:
                track = self._tracks[matched[face]]
                track.add(box, answer, self._now)
            else:
                self._opened += 1
                track = _Track(self._opened, box, np.zeros(4), self._now, 1, answer)
            tracks.append(track)
        self._tracks += [t for t in tracks if t.frames == 1]
        return tracks

    def _with_ages(
        self, faces: Sequence[AgeEstimate], tracks: Sequence[_Track]
    ) -> tuple[AgeEstimate, ...]:
        means = np.array([t.mass / t.frames for t in tracks]).reshape(-1, self.spec.width)
        read = read_answers(answer_of(means, self.spec), self.spec)
        stated = point_and_interval(read, self.level, self.calibration)
        return tuple(
            replace(
                face,
                track=TrackAge(track.number, track.frames, float(age), float(low), float(high)),
            )
            for face, track, age, low, high in zip(
                faces,
                tracks,
                stated.estimate_years,
                stated.low_years,
                stated.high_years,
                strict=True,
            )
        )


def _boxes(faces: Sequence[AgeEstimate]) -> Floats:
    """Boxes [N, 4] of the faces."""
    boxes = np.empty((len(faces), 4))
    for position, estimate in enumerate(faces):
        if estimate.face is None:
            raise ValueError(f"estimate {position} has no face: tracks follow its box")
        box = np.asarray(estimate.face.box_xyxy, dtype=np.float64)
        if box.shape != (4,) or not np.isfinite(box).all():
            raise ValueError(f"estimate {position}: a box is four finite pixels, got {box}")
        boxes[position] = box
    return boxes


def _match(overlaps: Floats, least: float) -> dict[int, int]:
    """Track [row] of each matched face [column], best overlap first, one face a track."""
    matched: dict[int, int] = {}
    left = overlaps.copy()
    while left.size and left.max() >= least:
        track, face = np.unravel_index(int(left.argmax()), left.shape)
        matched[int(face)] = int(track)
        left[track], left[:, face] = -1, -1
    return matched
