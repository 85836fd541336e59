"""The folders of a run's photos: one that goes away ends the run.

A disk that is unplugged, a share that is lost or a folder that is renamed would else leave rows
that say ``missing`` of photos that are there again the next day, and that no later run looks at.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import Final

from agelens.errors import FolderGoneError

_MOST_REMEMBERED: Final = 100_000


class Folders:
    """What this process knows of its photos' folders, while a run asks it to."""

    def __init__(self) -> None:
        self._found: dict[str, os.stat_result | None] = {}
        self._runs = 0
        self._lock = Lock()

    @contextmanager
    def must_stay(self) -> Iterator[None]:
        """Until the end of the context, photos are looked for in folders that stay."""
        with self._lock:
            self._runs += 1
        try:
            yield
        finally:
            with self._lock:
                self._runs -= 1
                if not self._runs:
                    self._found.clear()

    def found(self, folder: str | os.PathLike[str]) -> None:
        """`folder` is there, or was when the run began, and so are those that it lies in."""
        if not self._runs:
            return
        path = Path(folder)
        for one in (path, *path.parents):
            if str(one) in self._found:
                return
            if len(self._found) >= _MOST_REMEMBERED:
                self._found.clear()  # those that are still in use come back
            self._found[str(one)] = _looked_up(one)

    def check(self, path: str | os.PathLike[str]) -> None:
        """Tell a photo or folder that is not there from one whose folder went away.

        Raises:
            FolderGoneError: a folder that it lies in, or is, was there and is gone; or another
                disk, or an empty folder, is in its place.
        """
        for folder in (*reversed(Path(path).parents), Path(path)):
            if str(folder) in self._found and _is_gone(folder, self._found[str(folder)]):
                name = os.fsencode(folder).decode("utf-8", "backslashreplace")
                raise FolderGoneError(
                    f"{name}: the folder went away while its photos were being read; once it is "
                    "back, run this again"
                )


FOLDERS: Final = Folders()


def _looked_up(folder: Path) -> os.stat_result | None:
    try:
        return folder.stat()
    except (OSError, ValueError):
        return None


def _is_gone(folder: Path, before: os.stat_result | None) -> bool:
    now = _looked_up(folder)
    if now is None:
        return True
    if before is None or (before.st_dev, before.st_ino) == (now.st_dev, now.st_ino):
        return False
    # Some file systems number a folder anew at times: then what was in it still is.
    return before.st_dev != now.st_dev or not any(folder.iterdir())
