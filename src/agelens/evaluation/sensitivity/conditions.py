"""Under which conditions a face is estimated: clean, damaged, cut wider, found by another."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from agelens.errors import UnknownNameError, UsageError
from agelens.records import RGB, Face

SEVERITIES: Final = (1, 2, 3, 4, 5)
_REFERENCE_PX: Final = 224

Values: TypeAlias = NDArray[np.float32]
Damage: TypeAlias = Callable[[RGB, Face, float, np.random.Generator], RGB]


def corrupt(rgb: RGB, face: Face, name: str, severity: int, *, seed: int = 0) -> RGB:
    """`rgb` uint8 [H, W, 3] damaged; the given photo is left as it is.

    Args:
        rgb: the photo.
        face: lengths are taken on its box.
        name: of `CORRUPTIONS`.
        severity: 1 to 5.
        seed: of noise, occlusion and the sense of a rotation.

    Raises:
        UnknownNameError: another name.
        UsageError: another severity.
    """
    if name not in CORRUPTIONS:
        raise UnknownNameError("corruption", name, CORRUPTIONS)
    _check(severity)
    damage, strengths = CORRUPTIONS[name]
    return damage(rgb, face, strengths[severity - 1], np.random.default_rng(seed))


def _side(face: Face) -> float:
    """Longer side of the face's box in pixels, at least 1."""
    left, top, right, bottom = face.box_xyxy
    return float(max(right - left, bottom - top, 1.0))


def _blur(rgb: RGB, face: Face, sigma: float, _: np.random.Generator) -> RGB:
    scaled = max(sigma * _side(face) / _REFERENCE_PX, 1e-3)
    return np.asarray(cv2.GaussianBlur(rgb, (0, 0), scaled), dtype=np.uint8)


def _noise(rgb: RGB, _: Face, deviation: float, rng: np.random.Generator) -> RGB:
    return _bytes(_unit(rgb) + deviation * rng.standard_normal(rgb.shape, dtype=np.float32))


def _jpeg(rgb: RGB, _: Face, quality: float, __: np.random.Generator, /) -> RGB:
    bgr = cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR)
    encoded = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, int(quality)])[1]
    decoded = np.asarray(cv2.imdecode(encoded, cv2.IMREAD_COLOR), dtype=np.uint8)
    return np.asarray(cv2.cvtColor(decoded, cv2.COLOR_BGR2RGB), dtype=np.uint8)


def _brightness(rgb: RGB, _: Face, lift: float, __: np.random.Generator) -> RGB:
    hsv = cv2.cvtColor(_unit(rgb), cv2.COLOR_RGB2HSV)
    hsv[..., 2] = np.clip(hsv[..., 2] + lift, 0, 1)
    return _bytes(np.asarray(cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB), dtype=np.float32))


def _contrast(rgb: RGB, face: Face, share: float, _: np.random.Generator) -> RGB:
    mean = (_inside(rgb, face).mean(axis=(0, 1)) / 255).astype(np.float32)
    return _bytes((_unit(rgb) - mean) * np.float32(share) + mean)


def _resolution(rgb: RGB, face: Face, side_px: float, _: np.random.Generator) -> RGB:
    """The face's box `side_px` pixels long, then as large as before."""
    factor = min(side_px / _side(face), 1.0)
    height, width = rgb.shape[:2]
    small_wh = (max(1, round(width * factor)), max(1, round(height * factor)))
    small = cv2.resize(rgb, small_wh, interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR), np.uint8)


def _occlusion(rgb: RGB, face: Face, share: float, rng: np.random.Generator) -> RGB:
    """A grey square over `share` of the box, wholly inside it."""
    left, top, right, bottom = face.box_xyxy
    side = min(float(np.sqrt(share * (right - left) * (bottom - top))), right - left, bottom - top)
    x = left + rng.random() * (right - left - side)
    y = top + rng.random() * (bottom - top - side)
    covered = rgb.copy()
    x1, y1, x2, y2 = (max(0, round(v)) for v in (x, y, x + side, y + side))
    covered[y1:y2, x1:x2] = 128
    return covered


def _rotation(rgb: RGB, face: Face, degrees: float, rng: np.random.Generator) -> RGB:
    """Turned about the face, either way; what comes from outside is the mirrored photo."""
    left, top, right, bottom = face.box_xyxy
    turn = degrees if rng.random() < 0.5 else -degrees
    matrix = cv2.getRotationMatrix2D(((left + right) / 2, (top + bottom) / 2), turn, 1.0)
    wh = (rgb.shape[1], rgb.shape[0])
    turned = cv2.warpAffine(rgb, matrix, wh, borderMode=cv2.BORDER_REFLECT_101)
    return np.asarray(turned, dtype=np.uint8)


def _inside(rgb: RGB, face: Face) -> RGB:
    """The part of the photo inside the box, or all of it where that is nothing."""
    left, top, right, bottom = (max(0, round(float(edge))) for edge in face.box_xyxy)
    part = rgb[top:bottom, left:right]
    return part if part.size else rgb


def _unit(rgb: RGB) -> Values:
    """From 0 to 1; in float32, since photos may have many millions of pixels."""
    return rgb.astype(np.float32) / np.float32(255)


def _bytes(values: Values) -> RGB:
    return np.asarray(np.clip(np.rint(values * 255), 0, 255), dtype=np.uint8)


CORRUPTIONS: Final[dict[str, tuple[Damage, tuple[float, ...]]]] = {
    "blur": (_blur, (1, 2, 3, 4, 6)),  # standard deviation, pixels of a face of 224
    "noise": (_noise, (0.08, 0.12, 0.18, 0.26, 0.38)),  # standard deviation, values from 0 to 1
    "jpeg": (_jpeg, (25, 18, 15, 10, 7)),  # quality
    "brightness": (_brightness, (0.1, 0.2, 0.3, 0.4, 0.5)),  # added to the value of HSV
    "contrast": (_contrast, (0.4, 0.3, 0.2, 0.1, 0.05)),  # what is left of it
    "resolution": (_resolution, (96, 64, 48, 32, 24)),  # side of the face in pixels
    "occlusion": (_occlusion, (0.05, 0.1, 0.2, 0.3, 0.4)),  # share of the face's box
    "rotation": (_rotation, (5, 10, 20, 30, 45)),  # degrees
}
"""Name: the damage and its five strengths."""

MARGIN: Final = "margin"
MARGIN_STRENGTHS: Final = (0.05, 0.1, 0.15, 0.2, 0.3)
"""How much wider, or narrower, the frame of the chip is than what the model expects."""


def changed_margin(margin: float, severity: int, *, seed: int = 0) -> float:
    """`margin` of a chip whose frame is wider or narrower by the strength of `severity`.

    A frame of margin 0, at severity 4, becomes one of margin 0.2 or of -0.2.

    Raises:
        UsageError: another severity.
    """
    _check(severity)
    strength = MARGIN_STRENGTHS[severity - 1]
    wider = np.random.default_rng(seed).random() < 0.5
    return (1 + margin) * (1 + strength if wider else 1 - strength) - 1


def _check(severity: int) -> None:
    if severity not in SEVERITIES:
        raise UsageError(f"severities are 1 to 5, got {severity}")


DETECTOR: Final = "detector"
STRESSES: Final = (*CORRUPTIONS, MARGIN, DETECTOR)
ON_CHIPS: Final = tuple(name for name in CORRUPTIONS if name != "rotation")
"""What can be done to a chip that is cut already."""

NOT_ON_CHIPS: Final = {
    "rotation": "a chip is level already, and a turned photo would be levelled before it is cut",
    MARGIN: "a chip holds nothing beyond its frame",
    DETECTOR: "a chip is cut already",
}


@dataclass(frozen=True, slots=True, order=True)
class Condition:
    """A corruption (of `CORRUPTIONS`, or margin) and its severity, 1 to 5.

    Of severity 0 are ``clean``, and ``detector NAME``: the clean photo searched by another one.
    """

    corruption: str
    severity: int = 0

    @property
    def detector(self) -> str | None:
        """The name of the other detector, if there is one."""
        kind, _, name = self.corruption.partition(" ")
        return name if kind == DETECTOR else None


CLEAN: Final = Condition("clean")


def conditions(stresses: Sequence[str], detectors: Sequence[str] = ()) -> tuple[Condition, ...]:
    """Clean, then each of `stresses` in all severities, then each of `detectors`.

    Args:
        stresses: names of `STRESSES`.
        detectors: those other than the estimator's own, used where `detector` is asked for.

    Raises:
        UnknownNameError: another name.
        UsageError: none, or one twice.
    """
    for name in stresses:
        if name not in STRESSES:
            raise UnknownNameError("corruption", name, STRESSES)
    if not stresses or len(set(stresses)) < len(stresses):
        raise UsageError("corruptions: at least one, each of them once")
    damaged = [
        Condition(name, severity)
        for name in stresses
        if name != DETECTOR
        for severity in SEVERITIES
    ]
    others = [Condition(f"{DETECTOR} {name}") for name in detectors if DETECTOR in stresses]
    return (CLEAN, *damaged, *others)


def check_off_chips(stresses: Sequence[str]) -> None:
    """Raise where something is asked for that cannot be done to chips.

    Raises:
        UsageError: it is; the message says why not.
    """
    for name in stresses:
        if name in NOT_ON_CHIPS:
            raise UsageError(
                f"{name} needs photos (--data TABLE --root ROOT): {NOT_ON_CHIPS[name]}"
            )
