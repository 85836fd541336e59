"""Which of the faces in a photo a label means.

With a labelled box: the face that overlaps it most (intersection over union); among equals,
the one whose centre is nearest to the box's. If even that one does not overlap, and its
centre is further away than the box's longer side, it is somebody else, and the label's
person was not found.

Without a box: of the faces at least half as large (by area of their boxes) as the largest,
the one whose centre is nearest to the picture's; among equals, the larger.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from agelens.records import Face, Floats

_LARGE: Final = 0.5


def choose_face(
    faces: Sequence[Face], picture_hw: tuple[int, int], labelled_xyxy: Floats | None = None
) -> Face | None:
    """The face that a label means, by the rule of this module; None where it is not there.

    Args:
        faces: of one photo, largest box first, as detectors give them.
        picture_hw: height and width of the photo in pixels.
        labelled_xyxy: the labelled box [4] in the photo's pixels, if there is one.
    """
    if not faces:
        return None
    boxes = np.stack([face.box_xyxy for face in faces])
    if labelled_xyxy is None:
        return faces[_large_and_central(boxes, picture_hw)]
    overlap, distance = _overlap(boxes, labelled_xyxy), _distance(boxes, _centre(labelled_xyxy))
    best = int(np.lexsort((distance, -overlap))[0])
    longer_side = float(np.max(labelled_xyxy[2:] - labelled_xyxy[:2]))
    found = overlap[best] > 0 or distance[best] <= longer_side
    return faces[best] if found else None


def _large_and_central(boxes: Floats, picture_hw: tuple[int, int]) -> int:
    areas = _areas(boxes)
    distance = _distance(boxes, np.array(picture_hw[::-1], dtype=np.float64) / 2)
    large = areas >= _LARGE * areas.max()
    return int(np.lexsort((-areas, np.where(large, distance, np.inf)))[0])


def _overlap(boxes: Floats, box: Floats) -> Floats:
    """Intersection over union of each of `boxes` [N, 4] with `box` [4]."""
    corner = np.maximum(boxes[:, :2], box[:2])
    extent = np.clip(np.minimum(boxes[:, 2:], box[2:]) - corner, 0, None)
    shared = extent.prod(axis=1)
    return np.asarray(shared / (_areas(boxes) + _areas(box[None]) - shared))


def _areas(boxes: Floats) -> Floats:
    return np.asarray((boxes[:, 2:] - boxes[:, :2]).prod(axis=1))


def _centre(box: Floats) -> Floats:
    return np.asarray((box[:2] + box[2:]) / 2)


def _distance(boxes: Floats, point: Floats) -> Floats:
    middles = (boxes[:, :2] + boxes[:, 2:]) / 2
    return np.asarray(np.hypot(*(middles - point).T))
