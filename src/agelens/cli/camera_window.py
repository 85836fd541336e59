"""The live window of `agelens estimate --camera`: what the camera sees, with ages."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from typing import Final

import cv2

from agelens.inference.drawing import annotate
from agelens.inference.results import PhotoResult
from agelens.records import Photo

_TITLE: Final = "agelens - q quits"
_QUIT_KEYS: Final = (ord("q"), 27)


def has_display() -> bool:
    """Whether a window can be opened here."""
    if sys.platform in ("win32", "darwin"):
        return True
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def in_window(
    tracked: Iterator[tuple[Photo | None, PhotoResult]],
) -> Iterator[tuple[Photo | None, PhotoResult]]:
    """Pass frames on, showing each, until they end or the user presses q or Escape."""
    try:
        for frame, result in tracked:
            if frame is not None:
                cv2.imshow(_TITLE, annotate(frame.rgb, result)[:, :, ::-1])
            yield frame, result
            if cv2.waitKey(1) & 0xFF in _QUIT_KEYS:
                return
    finally:
        cv2.destroyAllWindows()
