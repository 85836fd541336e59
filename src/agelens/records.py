"""The records that are handed on: Photo, Face, Chip, Quality, AgeEstimate.

Frozen and slotted. Units and axis order are in the names: `_xyxy` is left, top,
right, bottom; `_years` are years; pixels are those of the upright photo, x to
the right and y down. Gender is the words ``female`` and ``male``, never a code.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import isnan
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

RGB: TypeAlias = NDArray[np.uint8]
Floats: TypeAlias = NDArray[np.float64]
Gender: TypeAlias = Literal["female", "male"]

_PIXEL_DIGITS, _YEAR_DIGITS, _SCORE_DIGITS = 2, 3, 6


@dataclass(frozen=True, slots=True, eq=False)
class Photo:
    """An upright picture: `rgb` is uint8 [H, W, 3]; `source` names where it came from.

    A frame of a video or a camera also carries its number and its time.
    """

    rgb: RGB
    source: str
    frame: int | None = None
    time_seconds: float | None = None

    def __repr__(self) -> str:
        height, width = self.rgb.shape[:2]
        number = "" if self.frame is None else f", frame {self.frame}"
        return f"Photo({self.source!r}, {width} x {height}{number})"


@dataclass(frozen=True, slots=True, eq=False)
class Face:
    """A detected face.

    `box_xyxy` [4] and `landmarks` [5, 2] are float64 pixels of the upright photo.
    Landmark order is that of the picture, not of the person: eye on the left of the
    image, eye on the right, nose tip, mouth corner on the left, mouth corner on the right.
    """

    box_xyxy: Floats
    landmarks: Floats
    score: float

    def __repr__(self) -> str:
        left, top, right, bottom = self.box_xyxy
        return f"Face({left:.0f}, {top:.0f} to {right:.0f}, {bottom:.0f}, score {self.score:.3f})"

    @property
    def inter_eye_px(self) -> float:
        """Distance between the eye centres in pixels."""
        return float(np.hypot(*(self.landmarks[1] - self.landmarks[0])))

    @property
    def roll_degrees(self) -> float:
        """Angle of the eye line in the image; positive where the right end is lower."""
        dx, dy = self.landmarks[1] - self.landmarks[0]
        return float(np.degrees(np.arctan2(dy, dx)))


@dataclass(frozen=True, slots=True, eq=False)
class Chip:
    """An aligned face: `rgb` uint8 [S, S, 3], and how it was cut.

    `matrix` float64 [2, 3] maps photo pixels to chip pixels.
    """

    rgb: RGB
    template: str
    matrix: Floats

    def __repr__(self) -> str:
        return f"Chip({self.template}, {self.rgb.shape[1]} x {self.rgb.shape[0]})"


@dataclass(frozen=True, slots=True)
class Quality:
    """What the picture of a face allows: see `agelens.imaging.quality` for each number."""

    inter_eye_px: float
    sharpness: float
    exposure: float
    roll_degrees: float
    yaw_proxy: float
    visible_share: float | None = None
    dark_eyes: float | None = None
    mouth_edges: float | None = None
    bright_eyes: float | None = None

    def to_json(self) -> dict[str, float | None]:
        """Plain floats by name."""
        return {
            "inter_eye_px": _rounded(self.inter_eye_px, _PIXEL_DIGITS),
            "sharpness": round(self.sharpness, 4),
            "exposure": round(self.exposure, 4),
            "roll_degrees": _rounded(self.roll_degrees, 2),
            "yaw_proxy": _rounded(self.yaw_proxy, 4),
            "visible_share": _rounded(self.visible_share, 4),
            "dark_eyes": _rounded(self.dark_eyes, 4),
            "mouth_edges": _rounded(self.mouth_edges, 4),
            "bright_eyes": _rounded(self.bright_eyes, 4),
        }


def _rounded(value: float | None, digits: int) -> float | None:
    """None for NaN: what nobody knows of a face that no detector has seen."""
    return None if value is None or isnan(value) else round(value, digits)


@dataclass(frozen=True, slots=True)
class TrackAge:
    """The smoothed age of one tracked person up to and with this frame."""

    track: int
    frames: int
    estimate_years: float
    low_years: float
    high_years: float

    def to_json(self) -> dict[str, Any]:
        """Plain types by name."""
        return {
            "track": self.track,
            "frames": self.frames,
            "estimate_years": round(self.estimate_years, _YEAR_DIGITS),
            "low_years": round(self.low_years, _YEAR_DIGITS),
            "high_years": round(self.high_years, _YEAR_DIGITS),
        }


@dataclass(frozen=True, slots=True, eq=False)
class AgeEstimate:
    """How old one face looks, and how sure that is.

    `estimate_years` is the age that the model's card takes from its answer, most often the
    expected one; `low_years` and `high_years` bound the central
    `interval_level` of the distribution, widened or narrowed where the card has a calibration.
    `coverage` is the share of people measured to
    fall inside such intervals, and None while nobody has measured it. `distribution`
    float64 [K] lies over the model's age scale, and is None where a model answers with an
    age and its spread. `interval_shown` is False where nobody has calibrated the model and nobody
    asked for its own interval: then only code sees it. `answer` float64 [width] is the network's
    own, as its card's `OutputSpec` describes it. `refer` says why a human should look instead of
    trusting the number, or is None. `further` has the word and probability of each other column
    that the model tells, such as ``ethnicity``, where gender was asked for; tables have them, and
    no other result.
    """

    estimate_years: float
    median_years: float
    low_years: float
    high_years: float
    interval_level: float
    coverage: float | None
    distribution: Floats | None
    face: Face | None = None
    quality: Quality | None = None
    refer: str | None = None
    gender: Gender | None = None
    gender_score: float | None = None
    track: TrackAge | None = None
    answer: Floats | None = None
    interval_shown: bool = True
    further: Mapping[str, tuple[str, float]] = field(default_factory=dict)

    @property
    def told(self) -> dict[str, tuple[str, float]]:
        """The word and probability of each column beside the age: gender, then `further`."""
        if self.gender is None or self.gender_score is None:
            return dict(self.further)
        return {"gender": (self.gender, self.gender_score), **self.further}

    @property
    def interval(self) -> str | None:
        """What the interval is, in words; None where it is not shown."""
        if not self.interval_shown:
            return None
        known = "not calibrated" if self.coverage is None else "calibrated"
        return f"{100 * self.interval_level:g} %, {known}"

    def __repr__(self) -> str:
        return f"AgeEstimate({self.in_words()})"

    def in_words(self) -> str:
        """Age, interval, and what else was found, in one line."""
        words = [f"{self.estimate_years:.1f} years ({self.low_years:.1f} to {self.high_years:.1f})"]
        if self.gender:
            words.append(self.gender)
        if self.track:
            words.append(f"track {self.track.track}: {self.track.estimate_years:.1f} years")
        if self.refer:
            words.append(f"refer: {self.refer}")
        return ", ".join(words)

    def to_json(self, *, distribution: bool = False) -> dict[str, Any]:
        """Plain JSON types; the distribution only where it is asked for."""
        row: dict[str, Any] = {}
        if self.face is not None:
            row["box_xyxy"] = np.round(self.face.box_xyxy, _PIXEL_DIGITS).tolist()
            known = not np.isnan(self.face.landmarks).any()
            landmarks = np.round(self.face.landmarks, _PIXEL_DIGITS).tolist()
            row["landmarks"] = landmarks if known else None
            row["detection_score"] = _rounded(self.face.score, _SCORE_DIGITS)
        if self.quality is not None:
            row["quality"] = self.quality.to_json()
        row["refer"] = self.refer
        for name in ("estimate_years", "median_years", "low_years", "high_years"):
            row[name] = round(getattr(self, name), _YEAR_DIGITS)
        row["interval"] = self.interval
        if not self.interval_shown:
            row |= {"low_years": None, "high_years": None}
        row["interval_level"] = self.interval_level
        row["coverage"] = self.coverage
        if distribution and self.distribution is not None:
            row["distribution"] = np.round(self.distribution, _SCORE_DIGITS).tolist()
        if self.gender is not None and self.gender_score is not None:
            row["gender"] = self.gender
            row["gender_score"] = round(self.gender_score, _SCORE_DIGITS)
        if self.track is not None:
            row["track"] = self.track.to_json()
            if not self.interval_shown:
                row["track"] |= {"low_years": None, "high_years": None}
        return row
