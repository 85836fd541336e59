"""What every detector shares: search on a bounded copy, answer in the photo's own pixels."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import ClassVar, Final

import cv2
import numpy as np

from agelens.imaging.align import apply, warp
from agelens.records import RGB, Face, Floats

DEFAULT_LONGEST_SIDE: Final = 640
# Landmarks of a face that is not level are worse: turned by 20 degrees, UTKFace cost the
# default model 1.7 years more, of which a second look at the levelled face wins 1 back.
_LEVEL_DEGREES: Final = 10.0
_SECOND_LOOK_PX: Final = 256
_FACE_SHARE: Final = 0.6


@dataclass(frozen=True, slots=True, eq=False)
class Detections:
    """Raw finds on one picture: `boxes_xyxy` [N, 4], `landmarks` [N, 5, 2], `scores` [N]."""

    boxes_xyxy: Floats
    landmarks: Floats
    scores: Floats

    @classmethod
    def none(cls) -> Detections:
        """No face at all."""
        return cls(np.empty((0, 4)), np.empty((0, 5, 2)), np.empty(0))


class Detector(ABC):
    """Finds faces and their five landmarks; safe to share between threads.

    A subclass searches one RGB picture in `_find`; this class bounds the size of that
    picture and brings the answer back to the photo's pixels.

    Args:
        longest_side: the picture searched is shrunk until its longer side is at most
            this many pixels. Raise it to find small faces in large photos.
    """

    name: ClassVar[str]
    summary: ClassVar[str]
    licence: ClassVar[str]

    def __init__(self, *, longest_side: int = DEFAULT_LONGEST_SIDE) -> None:
        if longest_side < 32:
            raise ValueError(f"longest_side must be at least 32 pixels, got {longest_side}")
        self.longest_side = longest_side

    @abstractmethod
    def _find(self, rgb: RGB) -> Detections:
        """Faces on one picture, in that picture's pixels."""

    def detect(self, rgb: RGB) -> tuple[Face, ...]:
        """Faces of an upright uint8 [H, W, 3] photo, largest box first.

        Boxes and landmarks are float64 pixels of `rgb`; they may reach beyond its edge
        where a face does. A face that is not level is looked at once more, levelled, for
        its landmarks.
        """
        small = bounded_copy(rgb, self.longest_side)
        found = self._find(small)
        scale = np.array([rgb.shape[1] / small.shape[1], rgb.shape[0] / small.shape[0]])
        boxes = found.boxes_xyxy * np.tile(scale, 2)
        landmarks = found.landmarks * scale
        areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
        order = np.argsort(-areas, kind="stable")
        faces = [Face(boxes[i], landmarks[i], float(found.scores[i])) for i in order]
        return tuple(self._levelled(rgb, face) for face in faces)

    def _levelled(self, rgb: RGB, face: Face) -> Face:
        """`face` with the landmarks seen in a levelled crop of it, if it needs and has that."""
        size = float(np.max(face.box_xyxy[2:] - face.box_xyxy[:2]))
        if abs(face.roll_degrees) <= _LEVEL_DEGREES or size <= 0:
            return face
        middle = (face.box_xyxy[:2] + face.box_xyxy[2:]) / 2
        scale = _SECOND_LOOK_PX * _FACE_SHARE / size
        turn = cv2.getRotationMatrix2D(middle.tolist(), face.roll_degrees, scale)
        to_crop = np.asarray(turn, dtype=np.float64)
        to_crop[:, 2] += _SECOND_LOOK_PX / 2 - middle
        found = self._find(warp(rgb, to_crop, _SECOND_LOOK_PX))
        centres = (found.boxes_xyxy[:, :2] + found.boxes_xyxy[:, 2:]) / 2
        away = np.hypot(*(centres - _SECOND_LOOK_PX / 2).T)
        if not away.size or away.min() > _SECOND_LOOK_PX * _FACE_SHARE / 2:
            return face
        to_photo = np.asarray(cv2.invertAffineTransform(to_crop), dtype=np.float64)
        return replace(face, landmarks=apply(to_photo, found.landmarks[away.argmin()]))


def bounded_copy(rgb: RGB, longest_side: int) -> RGB:
    """`rgb` shrunk, never enlarged, so that its longer side is at most `longest_side`."""
    height, width = rgb.shape[:2]
    factor = longest_side / max(height, width)
    if factor >= 1:
        return rgb
    size_wh = (max(1, round(width * factor)), max(1, round(height * factor)))
    return np.asarray(cv2.resize(rgb, size_wh, interpolation=cv2.INTER_AREA), dtype=np.uint8)
