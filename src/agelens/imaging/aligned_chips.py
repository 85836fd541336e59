"""Pictures that are aligned chips already: taken whole, without a search for faces."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np

from agelens.imaging.detectors.base import Detections, Detector
from agelens.records import RGB, Chip, Face

AS_SHIPPED: Final = "as-shipped"
"""In place of a template's name: as the chips' owner aligned them."""


def resized(rgb: RGB, size: int) -> RGB:
    """The whole picture [H, W, 3] with `size` pixels on both sides, as chip stores have it."""
    how = cv2.INTER_AREA if min(rgb.shape[:2]) > size else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(rgb, (size, size), interpolation=how), np.uint8)


class WholePicture(Detector):
    """Says of each picture that it is one face; nobody knows where its eyes are."""

    name = "aligned"
    summary = "takes a picture as the aligned chip of one face"
    licence = "none"

    def _find(self, rgb: RGB) -> Detections:
        height, width = rgb.shape[:2]
        box = np.array([[0, 0, width, height]], dtype=np.float64)
        return Detections(box, np.full((1, 5, 2), np.nan), np.full(1, np.nan))

    def detect(self, rgb: RGB) -> tuple[Face, ...]:
        """One face, as large as the picture."""
        found = self._find(rgb)
        return (Face(found.boxes_xyxy[0], found.landmarks[0], float(found.scores[0])),)


@dataclass(frozen=True, slots=True)
class WholePictureAligner:
    """The whole picture as a chip of `size` pixels; see `agelens.imaging.align.Aligner`."""

    size: int

    def align(self, rgb: RGB, face: Face) -> Chip:  # noqa: ARG002 - the face is all there is
        """The chip [size, size, 3] of the picture."""
        scale = np.diag([self.size / rgb.shape[1], self.size / rgb.shape[0]])
        shift = (scale.sum(axis=1, keepdims=True) - 1) / 2  # pixel centres
        return Chip(resized(rgb, self.size), AS_SHIPPED, np.hstack([scale, shift]))
