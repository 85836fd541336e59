"""Where `--draw DIR` puts its pictures, and under which names."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterator
from pathlib import Path

from agelens.errors import OutputError, UsageError
from agelens.imaging.sources import Source
from agelens.inference.drawing import DrawnVideo, annotate, save_picture
from agelens.inference.results import PhotoResult
from agelens.records import Photo


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
