"""An annotated video, written frame by frame."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Final, Self

import cv2

from agelens.errors import OutputError
from agelens.records import RGB

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
