"""The two-pass rotate-and-crop of the label-distribution-learning system.

First pass: a face's roll from its eye line. The photo is turned by it (PIL, bicubic,
canvas grown to fit). Second pass: the face's box in the turned photo. The chip is that
box, widened by `expand`. Data preparation writes the same two numbers into that
system's lists (`deg`, `box1..box4`), so use and training cut alike.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from PIL import Image

from agelens.imaging.detectors.base import Detector
from agelens.records import RGB, Chip, Face, Floats

TEMPLATE_NAME: Final = "rotate-crop"


@dataclass(frozen=True, slots=True, eq=False)
class RotatedBox:
    """A face in its turned photo.

    `roll_degrees` is what PIL's counter-clockwise `rotate` gets; `box_xyxy` [4] are
    pixels of the turned photo. `found` is False where the second pass saw no face, and
    the box is then the first pass's box, carried along.
    """

    roll_degrees: float
    box_xyxy: Floats
    found: bool


@dataclass(frozen=True, slots=True)
class RotateCropAligner:
    """Cuts chips of `size` pixels by the two-pass rule.

    Args:
        detector: looks a second time, at the turned photo.
        size: side of the chip in pixels.
        expand: the box grows by half of this share of its size on each side.
    """

    detector: Detector
    size: int
    expand: float = 0.0

    def align(self, rgb: RGB, face: Face) -> Chip:
        """The chip of `face` [size, size, 3]; black where it reaches beyond the photo."""
        turned = rotate(rgb, face.roll_degrees)
        box = find_rotated_box(rgb, face, self.detector, turned=turned)
        return cut(rgb, turned, box, size=self.size, expand=self.expand)


def find_rotated_box(
    rgb: RGB, face: Face, detector: Detector, *, turned: RGB | None = None
) -> RotatedBox:
    """Both passes for one face of an upright photo [H, W, 3].

    `turned` is ``rotate(rgb, face.roll_degrees)``, from a caller that needs it as well.
    """
    if turned is None:
        turned = rotate(rgb, face.roll_degrees)
    return _second_pass(rgb, turned, face, detector)


def rotate(rgb: RGB, degrees: float) -> RGB:
    """The photo turned counter-clockwise, its canvas grown to hold every corner."""
    turned = Image.fromarray(rgb).rotate(degrees, resample=Image.Resampling.BICUBIC, expand=True)
    return np.asarray(turned)


def cut(rgb: RGB, turned: RGB, box: RotatedBox, *, size: int, expand: float = 0.0) -> Chip:
    """The widened `box` of `turned`, which is `rotate(rgb, box.roll_degrees)`, as a chip."""
    left, top, right, bottom = np.round(widen(box.box_xyxy, expand)).astype(int)
    right, bottom = max(right, left + 1), max(bottom, top + 1)
    chip = Image.fromarray(turned).crop((left, top, right, bottom))
    scale_x, scale_y = size / (right - left), size / (bottom - top)
    to_chip = np.array([[scale_x, 0, -left * scale_x], [0, scale_y, -top * scale_y], [0, 0, 1]])
    edges = to_chip @ _turn(rgb, turned, box.roll_degrees)
    matrix = (_shift(-0.5) @ edges @ _shift(0.5))[:2]
    resized = chip.resize((size, size), Image.Resampling.BICUBIC)
    return Chip(np.asarray(resized), TEMPLATE_NAME, matrix)


def widen(box_xyxy: Floats, expand: float) -> Floats:
    """`box_xyxy` [4] grown by `expand / 2` of its width and height on each side."""
    grow = (box_xyxy[2:] - box_xyxy[:2]) * expand / 2
    return np.concatenate([box_xyxy[:2] - grow, box_xyxy[2:] + grow])


def _second_pass(rgb: RGB, turned: RGB, face: Face, detector: Detector) -> RotatedBox:
    carried = carried_box(rgb, turned, face.box_xyxy, face.roll_degrees)
    middle = (carried[:2] + carried[2:]) / 2
    reach = float(np.max(carried[2:] - carried[:2])) / 2
    near = [
        (float(np.hypot(*((f.box_xyxy[:2] + f.box_xyxy[2:]) / 2 - middle))), f.box_xyxy)
        for f in detector.detect(turned)
    ]
    distance, box = min(near, key=lambda pair: pair[0], default=(np.inf, carried))
    # A find half a face away is somebody else.
    found = distance < reach
    return RotatedBox(face.roll_degrees, box if found else carried, found)


def _turn(rgb: RGB, turned: RGB, degrees: float) -> Floats:
    """[3, 3] that PIL's rotate applies about the picture's centre, in pixel-edge coordinates."""
    angle = np.radians(degrees)
    cos, sin = np.cos(angle), np.sin(angle)
    before = np.array([rgb.shape[1], rgb.shape[0]]) / 2
    after = np.array([turned.shape[1], turned.shape[0]]) / 2
    linear = np.array([[cos, sin], [-sin, cos]])
    matrix = np.eye(3)
    matrix[:2, :2], matrix[:2, 2] = linear, after - linear @ before
    return matrix


def carried_box(rgb: RGB, turned: RGB, box_xyxy: Floats, degrees: float) -> Floats:
    """A box of the same size in `turned`, about the turned centre of `box_xyxy` of `rgb`."""
    turn = _turn(rgb, turned, degrees)
    middle = turn[:2, :2] @ (box_xyxy[:2] + box_xyxy[2:]) / 2 + turn[:2, 2]
    half = (box_xyxy[2:] - box_xyxy[:2]) / 2
    return np.concatenate([middle - half, middle + half])


def _shift(by: float) -> Floats:
    matrix = np.eye(3)
    matrix[:2, 2] = by
    return matrix
