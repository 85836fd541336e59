"""What every detector shares: search on a bounded copy, answer in the photo's own pixels."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import cv2
import numpy as np

from agelens.records import RGB, Face, Floats

DEFAULT_LONGEST_SIDE = 640


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
        where a face does.
        """
        small = bounded_copy(rgb, self.longest_side)
        found = self._find(small)
        scale = np.array([rgb.shape[1] / small.shape[1], rgb.shape[0] / small.shape[0]])
        boxes = found.boxes_xyxy * np.tile(scale, 2)
        landmarks = found.landmarks * scale
        areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
        order = np.argsort(-areas, kind="stable")
        return tuple(Face(boxes[i], landmarks[i], float(found.scores[i])) for i in order)


def bounded_copy(rgb: RGB, longest_side: int) -> RGB:
    """`rgb` shrunk, never enlarged, so that its longer side is at most `longest_side`."""
    height, width = rgb.shape[:2]
    factor = longest_side / max(height, width)
    if factor >= 1:
        return rgb
    size_wh = (max(1, round(width * factor)), max(1, round(height * factor)))
    return np.asarray(cv2.resize(rgb, size_wh, interpolation=cv2.INTER_AREA), dtype=np.uint8)
