"""What `agelens estimate` draws: pictures into the folder of `--draw`, a camera into a window."""

from __future__ import annotations

import os
import sys
from collections import defaultdict, deque
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import cv2

from agelens.errors import OutputError, UsageError
from agelens.imaging.sources import Source
from agelens.inference.drawing import DrawnVideo, annotate, save_picture
from agelens.inference.results import PhotoResult
from agelens.records import Photo

_TITLE: Final = "agelens - q quits"
_QUIT_KEYS: Final = (ord("q"), 27)


class Drawings:
    """One annotated picture a photo, one annotated video a video, all in `folder`.

    Names are those of the photos; where two photos share one, the later gets `-2`.

    Raises:
        OutputError: the folder cannot be made.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._taken: set[str] = set()
        # A photo that is named twice waits here with two drawings.
        self._waiting: defaultdict[str, deque[Path]] = defaultdict(deque)
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(f"cannot make the folder {folder}: {error.strerror}") from error

    def allot(self, source: Source) -> None:
        """Fix the drawing's name now, in input order, before any photo is drawn.

        Raises:
            UsageError: the source lies in the drawings' own folder, where one could replace it.
        """
        if source.path.parent.resolve() == self.folder.resolve() and source.path.exists():
            raise UsageError(
                f"{source.name}: drawings in its own folder could replace it; "
                "give --draw another folder"
            )
        self._waiting[source.name].append(self._path(source))

    def skip(self, source: Source) -> None:
        """Take the name that an earlier run has given to the drawing of `source`."""
        if not source.problem:
            self._path(source)

    def photo(self, photo: Photo, result: PhotoResult) -> None:
        """Write the annotated picture of one photo."""
        save_picture(annotate(photo.rgb, result), self._waiting[result.photo].popleft())

    def video(
        self, source: Source, tracked: Iterator[tuple[Photo | None, PhotoResult]]
    ) -> Iterator[PhotoResult]:
        """Pass results on while writing the annotated video."""
        self.allot(source)
        with DrawnVideo(self._waiting[source.name].popleft()) as drawn:
            for frame, result in tracked:
                if frame is not None:
                    drawn.add(annotate(frame.rgb, result), frame.time_seconds)
                yield result

    def _path(self, source: Source) -> Path:
        # The printable name: OpenCV crashes on paths that are not UTF-8.
        stem, suffix = Path(source.name).stem, ".mp4" if source.kind == "video" else ".jpg"
        name, number = stem + suffix, 1
        while name in self._taken:
            number += 1
            name = f"{stem}-{number}{suffix}"
        self._taken.add(name)
        return self.folder / name


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
