"""From a photo to the chips of its labelled faces."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

import cv2
import numpy as np

from agelens.data.store.choice import choose_face
from agelens.data.store.settings import StoreSettings
from agelens.imaging.align import SimilarityAligner
from agelens.imaging.detectors import Detector
from agelens.imaging.rotate_crop import cut as cut_rotated
from agelens.imaging.rotate_crop import find_rotated_box, rotate
from agelens.imaging.templates import template_named
from agelens.records import RGB, Face, Floats

Align: TypeAlias = Callable[[RGB, Face], tuple[RGB, Floats | None]]
"""The chip of a face, and its box in the turned photo where the alignment has one."""


@dataclass(frozen=True, slots=True, eq=False)
class Cut:
    """What came of one label on one photo; `chip` is None where its face is not there.

    `faces` counts those found in the photo. `rotated_xyxy` [4] is the second pass's box in
    pixels of the photo turned by the face's roll.
    """

    chip: RGB | None
    face: Face | None = None
    faces: int = 0
    rotated_xyxy: Floats | None = None


class Cutter(Protocol):
    """Cuts the chips of a photo's labels."""

    def __call__(self, rgb: RGB, boxes: Sequence[Floats | None]) -> list[Cut]:
        """One `Cut` for each of the labelled boxes, None where a label has no box."""


@dataclass(frozen=True, slots=True)
class FaceCutter:
    """Detects once, then for each label chooses its face and aligns it."""

    detector: Detector
    align: Align

    def __call__(self, rgb: RGB, boxes: Sequence[Floats | None]) -> list[Cut]:
        """See `Cutter`; the face is chosen by `choose_face`."""
        faces = self.detector.detect(rgb)
        return [self._cut(rgb, faces, box) for box in boxes]

    def _cut(self, rgb: RGB, faces: Sequence[Face], box: Floats | None) -> Cut:
        face = choose_face(faces, (rgb.shape[0], rgb.shape[1]), box)
        if face is None:
            return Cut(None, None, len(faces))
        chip, rotated_xyxy = self.align(rgb, face)
        return Cut(chip, face, len(faces), rotated_xyxy)


@dataclass(frozen=True, slots=True)
class WholePictureCutter:
    """The whole picture, resized to `size` on both sides; nothing is searched for."""

    size: int

    def __call__(self, rgb: RGB, boxes: Sequence[Floats | None]) -> list[Cut]:
        """See `Cutter`; every label gets the same chip."""
        smaller = min(rgb.shape[:2]) > self.size
        how = cv2.INTER_AREA if smaller else cv2.INTER_CUBIC
        chip = np.asarray(cv2.resize(rgb, (self.size, self.size), interpolation=how), np.uint8)
        return [Cut(chip) for _ in boxes]


def cutter_of(settings: StoreSettings, detector: Detector) -> Cutter:
    """The cutter that `settings` describe."""
    if settings.alignment == "as-shipped":
        return WholePictureCutter(settings.size)
    if settings.alignment == "rotate-crop":
        return FaceCutter(detector, _two_pass(detector, settings))
    template = template_named(str(settings.template))
    aligner = SimilarityAligner(template, settings.size, settings.margin)
    return FaceCutter(detector, lambda rgb, face: (aligner.align(rgb, face).rgb, None))


def _two_pass(detector: Detector, settings: StoreSettings) -> Align:
    def align(rgb: RGB, face: Face) -> tuple[RGB, Floats | None]:
        turned = rotate(rgb, face.roll_degrees)
        box = find_rotated_box(rgb, face, detector, turned=turned)
        chip = cut_rotated(rgb, turned, box, size=settings.size, expand=settings.margin)
        return chip.rgb, box.box_xyxy

    return align
