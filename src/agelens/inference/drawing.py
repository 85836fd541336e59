"""Annotated pictures: a box, the age and its interval for each face."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import cv2
import numpy as np
from PIL import Image

from agelens.atomic import atomic_file
from agelens.errors import OutputError, UsageError
from agelens.inference.results import PhotoResult
from agelens.records import RGB, AgeEstimate

_CODEC: Final = cv2.VideoWriter.fourcc(*"mp4v")
_FALLBACK_RATE: Final = 25.0


class DrawnVideo:
    """Collects frames of one size into an MP4; nothing is written where none comes.

    The frame rate is read off the times of the first two frames.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._first: tuple[RGB, float | None] | None = None
        self._writer: cv2.VideoWriter | None = None

    def add(self, rgb: RGB, time_seconds: float | None) -> None:
        """Append one frame [H, W, 3].

        Raises:
            OutputError: the file cannot be written.
        """
        if self._first is None:
            self._first = (rgb, time_seconds)
            return
        if self._writer is None:
            self._writer = self._open(time_seconds)
        self._writer.write(cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None
    ) -> None:
        if self._writer is None and self._first is not None:
            self._writer = self._open(None)
        if self._writer is not None:
            self._writer.release()

    def _open(self, second_time: float | None) -> cv2.VideoWriter:
        assert self._first is not None  # noqa: S101 - callers have a first frame
        rgb, first_time = self._first
        gap = (second_time or 0.0) - (first_time or 0.0)
        rate = 1 / gap if gap > 0 else _FALLBACK_RATE
        height, width = rgb.shape[:2]
        writer = cv2.VideoWriter(str(self.path), _CODEC, rate, (width, height))
        if not writer.isOpened():
            raise OutputError(f"cannot write the video {self.path}")
        writer.write(cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR))
        return writer


_SURE: Final = (40, 200, 90)
_REFER: Final = (255, 150, 30)
_INK: Final = (10, 10, 10)
_PAPER: Final = (235, 235, 235)
_FONT: Final = cv2.FONT_HERSHEY_SIMPLEX
_QUALITY: Final = 92
_KINDS: Final = {".jpg": "JPEG", ".jpeg": "JPEG", ".png": "PNG", ".webp": "WEBP"}


def annotate(rgb: RGB, result: PhotoResult) -> RGB:
    """A copy of the photo [H, W, 3] with every face of `result` marked.

    Faces that carry `refer` are orange instead of green and say "refer".
    """
    canvas = np.array(rgb)
    weight = max(1, round(max(canvas.shape[:2]) / 400))
    for face in result.faces:
        _mark(canvas, face, weight)
    intervals = sorted({face.interval for face in result.faces if face.face and face.interval})
    if intervals:
        _caption(canvas, f"interval: {'; '.join(intervals)}", weight)
    return canvas


def label(face: AgeEstimate) -> str:
    """What is written at a face: `29 [22-36]`, the track's smoothed age where there is one."""
    age = face.track or face
    words = [f"{age.estimate_years:.0f}"]
    if face.interval_shown:
        words.append(f"[{age.low_years:.0f}-{age.high_years:.0f}]")
    if face.track:
        words.insert(0, f"#{face.track.track}")
    if face.gender:
        words.append(face.gender)
    if face.refer:
        words.append("refer")
    return " ".join(words)


def save_picture(rgb: RGB, path: Path) -> None:
    """Write a picture [H, W, 3], whole or not at all; it carries no metadata of the photo.

    Raises:
        UsageError: `path` does not end in .jpg, .jpeg, .png or .webp.
        OutputError: the picture cannot be written.
    """
    kind = _KINDS.get(path.suffix.lower())
    if kind is None:
        raise UsageError(f"{path}: pictures are written as {', '.join(_KINDS)}")
    encoded = encoded_picture(rgb, kind)
    with atomic_file(path) as partial:
        partial.write_bytes(encoded)


def encoded_picture(rgb: RGB, kind: str) -> bytes:
    """A picture [H, W, 3] as a file of the Pillow format `kind`."""
    encoded = BytesIO()  # Pillow, writing to a file, overlooks that a full disk took only a part
    Image.fromarray(rgb).save(encoded, format=kind, quality=_QUALITY)
    return encoded.getvalue()


def _caption(canvas: RGB, text: str, weight: int) -> None:
    """`text` in the lower left corner, where there is room for it."""
    scale = 0.35 * weight
    (width, height), below = cv2.getTextSize(text, _FONT, scale, weight)
    if width + 4 > canvas.shape[1] or height + below + 4 > canvas.shape[0]:
        return
    bottom = canvas.shape[0]
    corner = (0, bottom - height - below - 4)
    cv2.rectangle(canvas, corner, (width + 4, bottom), _PAPER, cv2.FILLED)
    cv2.putText(canvas, text, (2, bottom - below), _FONT, scale, _INK, weight, cv2.LINE_AA)


def _mark(canvas: RGB, face: AgeEstimate, weight: int) -> None:
    if face.face is None:
        return
    left, top, right, bottom = np.round(face.face.box_xyxy).astype(int).tolist()
    colour = _REFER if face.refer else _SURE
    cv2.rectangle(canvas, (left, top), (right, bottom), colour, weight, cv2.LINE_AA)
    text = label(face)
    scale = min(max((right - left) / 180, 0.35 * weight), 1.2 * weight)
    (width, height), below = cv2.getTextSize(text, _FONT, scale, weight)
    x = int(np.clip(left, 0, max(0, canvas.shape[1] - width - 4)))
    y = int(np.clip(top - below, height + 4, canvas.shape[0] - below))
    cv2.rectangle(canvas, (x, y - height - 4), (x + width + 4, y + below), colour, cv2.FILLED)
    cv2.putText(canvas, text, (x + 2, y), _FONT, scale, _INK, weight, cv2.LINE_AA)
