"""A downloaded dataset's folder: its parts found whatever their case, its pictures by one scan.

Copies of one dataset differ in the case of names (`Album2`, `album2`), in how accented
names were stored (composed or not), and in stray files. Nothing here asks the file system
about one picture at a time.
"""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Final

from agelens.errors import DatasetError

PICTURES: Final = (".jpg", ".jpeg", ".png", ".bmp", ".webp")
_SHOWN = 8


def folded(name: str) -> str:
    """`name` as compared: composed accents (NFC), no case, `/` between folders, no `./`."""
    return unicodedata.normalize("NFC", name.replace("\\", "/").removeprefix("./")).casefold()


def readable(name: str) -> str:
    """`name` composed (NFC); bytes of a file name that are no UTF-8 are read as Latin-1."""
    raw = os.fsencode(name)
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        text = raw.decode("latin-1")
    return unicodedata.normalize("NFC", text)


class PictureFiles:
    """The pictures under some folders, from one scan; `paths` are posix, relative to `root`.

    Hidden files (macOS writes `._a.jpg` beside `a.jpg`) and other kinds of file are left out.

    Raises:
        DatasetError: a folder may not be listed.
    """

    def __init__(
        self,
        root: Path,
        folders: Sequence[str],
        *,
        suffixes: Sequence[str] = PICTURES,
        without: Sequence[str] = (),
    ) -> None:
        found: list[str] = []
        try:
            for folder in folders:
                prefix = "" if folder == "." else f"{folder}/"
                found += _walk(root / folder, prefix, tuple(suffixes), frozenset())
        except OSError as error:
            raise DatasetError(f"cannot list the pictures under {root}: {error}") from error
        self.paths = sorted(path for path in found if not path.lower().endswith(tuple(without)))

    def __len__(self) -> int:
        return len(self.paths)

    @cached_property
    def _exact(self) -> frozenset[str]:
        return frozenset(self.paths)

    @cached_property
    def _folded(self) -> dict[str, str]:
        return {folded(path): path for path in reversed(self.paths)}

    def find(self, path: str) -> str | None:
        """The picture's path as it is on disk, or None where there is none of that name."""
        return path if path in self._exact else self._folded.get(folded(path))

    @cached_property
    def by_name(self) -> dict[str, str]:
        """Path by folded base name; the first in sorted order where folders share a name."""
        return {folded(path.rpartition("/")[2]): path for path in reversed(self.paths)}


def _walk(
    folder: Path, prefix: str, suffixes: tuple[str, ...], above: frozenset[tuple[int, int]]
) -> Iterator[str]:
    """Pictures below `folder`; links that lead back to a folder `above` it are passed over."""
    stat = folder.stat()
    here = (stat.st_dev, stat.st_ino)
    if here in above:
        return
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith((".", "__MACOSX")):
                continue
            if _is_folder(entry):
                inner = f"{prefix}{entry.name}/"
                yield from _walk(Path(entry.path), inner, suffixes, above | {here})
            elif entry.name.lower().endswith(suffixes):
                yield prefix + entry.name


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False


class DatasetFolder:
    """The root a user pointed at, for the dataset whose name goes into every error.

    Raises:
        DatasetError: `root` is no folder.
    """

    def __init__(self, root: str | Path, dataset: str) -> None:
        self.root = Path(root)
        self.dataset = dataset
        if self.root.is_file():
            raise DatasetError(
                f"{dataset}: {root} is a file; extract the archive and point at its folder"
            )
        if not self.root.is_dir():
            raise DatasetError(f"{dataset}: there is no folder {root}")

    def folder(self, *names: str) -> str:
        """The first of `names` that is a folder, as spelled on disk, relative to the root.

        Raises:
            DatasetError: none is there; the message says what was looked for and found.
        """
        found = self.find(*names)
        if found is None or not (self.root / found).is_dir():
            raise self.error(f"no folder {_either(names)}")
        return found

    def file(self, *names: str) -> Path:
        """The first of `names` that is there.

        Raises:
            DatasetError: none is; the message says what was looked for and found.
        """
        found = self.find(*names)
        if found is None:
            raise self.error(f"no file {_either(names)}")
        return self.root / found

    def find(self, *names: str) -> str | None:
        """The first of `names` that is there, as spelled on disk, relative to the root."""
        return next((found for name in names if (found := self._spelled(name))), None)

    def pictures(
        self, *folders: str, suffixes: Sequence[str] = PICTURES, without: Sequence[str] = ()
    ) -> PictureFiles:
        """One scan of all `folders`; files end in one of `suffixes` and in none of `without`.

        Raises:
            DatasetError: one of the folders is absent, or holds no picture.
        """
        there = [self.folder(folder) for folder in folders]
        files = PictureFiles(self.root, there, suffixes=suffixes, without=without)
        for under in there:
            if not any(under == "." or path.startswith(f"{under}/") for path in files.paths):
                raise self.error(f"no {_either(suffixes)} file in {self.root / under}", under)
        return files

    def error(self, problem: str, under: str = ".") -> DatasetError:
        """An error that also says what the folder holds and what to do."""
        return DatasetError(
            f"{self.dataset}: {problem}. Looked under {self.root}, found in {under}: "
            f"{_entries(self.root / under)}. Point at the folder that the owner's archives were "
            "extracted into, all of them"
        )

    def _spelled(self, name: str) -> str | None:
        spelled = ""
        for part in name.split("/"):
            here = self.root / spelled
            if part == ".":
                continue
            match = next((entry for entry in _listing(here) if folded(entry) == folded(part)), None)
            if match is None:
                return None
            spelled = f"{spelled}/{match}" if spelled else match
        return spelled or "."


def _listing(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir()) if folder.is_dir() else []


def _entries(folder: Path) -> str:
    entries = _listing(folder)
    more = f" and {len(entries) - _SHOWN} more" if len(entries) > _SHOWN else ""
    return (", ".join(map(ascii, entries[:_SHOWN])) or "nothing") + more


def _either(names: Iterable[str]) -> str:
    return " or ".join(names)
