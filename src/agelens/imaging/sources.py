"""What a user names on a command line, expanded into single photos and videos.

Files, folders, patterns and lists on standard input become one `Source` each, in the
order in which they were named. What leads nowhere becomes a `Source` that says so, so
that every name has a row in the results.
"""

from __future__ import annotations

import os
import re
import stat
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from glob import escape, glob
from pathlib import Path
from typing import BinaryIO, Final, Literal, TextIO, TypeAlias

from agelens.errors import PhotoStatus, UsageError
from agelens.imaging.folders import FOLDERS
from agelens.imaging.photos import display_name, why_no_path

Listing: TypeAlias = tuple[str, list[str] | OSError]
_SEPARATOR: Final = f"[{re.escape(os.sep + (os.altsep or ''))}]"
_ANY_FOLDERS: Final = re.compile(rf"(?:^|(?<={_SEPARATOR}))\*\*(?:{_SEPARATOR}+|$)")


def tree(top: str, *, suffixes: tuple[str, ...], deep: bool) -> Iterator[Listing]:
    """Yield a folder and its sorted files, and where `deep` those of all folders below it.

    A folder that cannot be listed comes with its error in place of files. Each is
    entered once, whatever links lead to it; hidden ones are passed over.

    Args:
        top: the folder to begin with.
        suffixes: the ends of file names to list, in lower case.
        deep: also enter subfolders, in the order of their names, each before the next.
    """
    waiting, entered = [top], set[tuple[int, int]]()
    while waiting:
        folder = waiting.pop()
        try:
            found = Path(folder).stat()
            if (found.st_dev, found.st_ino) in entered:
                continue
            entered.add((found.st_dev, found.st_ino))
            files, folders = _listing(folder, suffixes)
        except OSError as error:
            yield folder, error
            continue
        yield folder, files
        if deep:
            waiting += reversed(folders)


def _listing(folder: str, suffixes: tuple[str, ...]) -> tuple[list[str], list[str]]:
    """Sorted paths of the files in `folder` that end on `suffixes`, and of its subfolders."""
    files, folders = [], []
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith("."):
                continue
            wanted = entry.name.lower().endswith(suffixes)
            # A link named like a photo is taken for one: a stat for each would hold up the first.
            if _is_folder(entry, follow_links=not wanted):
                folders.append(entry.path)
            elif wanted:
                files.append(entry.path)
    return sorted(files), sorted(folders)


def _is_folder(entry: os.DirEntry[str], *, follow_links: bool) -> bool:
    try:
        return entry.is_dir(follow_symlinks=follow_links)
    except OSError:  # a link that leads to itself, or through a closed folder
        return False


def matches(pattern: str) -> Iterator[str]:
    """Yield what matches a shell pattern, in no order, perhaps more than once.

    ``*``, ``?`` and ``[]`` match within one name and skip hidden ones; ``**`` as a whole
    name is any number of folders, and only files match behind it.

    Raises:
        ValueError: `pattern` holds a character that no path can.
    """
    mark = _ANY_FOLDERS.search(pattern)
    if mark is None:
        yield from glob(pattern)  # noqa: PTH207 - Path.glob takes hidden files, and links by version
        return
    head, tail = pattern[: mark.start()], pattern[mark.end() :] or "*"
    for top in glob(head) if head else [os.curdir]:  # noqa: PTH207
        for folder, files in tree(top, suffixes=(), deep=True):
            if isinstance(files, OSError):
                yield folder  # so that whoever looks into it learns why
            else:
                below = matches(str(Path(escape(folder), tail)))
                yield from (path for path in below if not Path(path).is_dir())


PHOTO_SUFFIXES: Final = (
    ".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".apng", ".webp", ".bmp", ".dib",
    ".tif", ".tiff", ".gif", ".heic", ".heif", ".hif", ".avif",
)  # fmt: skip
VIDEO_SUFFIXES: Final = (
    ".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm", ".mpg", ".mpeg", ".wmv", ".flv",
    ".3gp", ".mts", ".m2ts", ".ogv",
)  # fmt: skip
_STANDARD_INPUT: Final = "-"
_WILDCARDS: Final = frozenset("*?[")
_BYTE_ORDER_MARK: Final = "\ufeff"


@dataclass(frozen=True, slots=True)
class Source:
    """One photo or video to work on, or one name that leads nowhere.

    `problem` says what is wrong with it and what to do; `status` is then the word for
    its result row, ``missing`` or ``unreadable``.
    """

    path: Path
    kind: Literal["photo", "video"]
    problem: str | None = None
    status: PhotoStatus = "ok"

    @property
    def name(self) -> str:
        """What results call it: its path as printable text, as in `Photo.source`."""
        return display_name(self.path)


def is_video(path: str | os.PathLike[str]) -> bool:
    """Whether the name of `path` ends as those of videos do; the file is not opened."""
    return os.fspath(path).lower().endswith(VIDEO_SUFFIXES)


def expand(
    inputs: Iterable[str],
    *,
    recursive: bool = False,
    stdin: TextIO | BinaryIO | None = None,
) -> Iterator[Source]:
    """Yield the photos and videos that `inputs` name, in that order, one at a time.

    A folder stands for the photos and videos directly inside it, by suffix and sorted by
    name, hidden ones left out. A name with ``*``, ``?`` or ``[`` that no file bears is a
    pattern: its matches, sorted, count as if each were named; ``**`` is any number of
    folders. ``-`` reads one path a line from standard input, where patterns are not
    expanded. What is named twice comes twice. Photos are never opened here, and those in
    a folder not even looked at.

    Args:
        inputs: what the user named.
        recursive: also search the folders below each folder. Each is entered once, so
            links in a circle end.
        stdin: read in place of `sys.stdin`.

    Raises:
        UsageError: a list is to be read, and standard input is closed.
        FolderGoneError: a folder went away, see `agelens.imaging.folders`.
    """
    for text in inputs:
        if text == _STANDARD_INPUT:
            for line in _lines(stdin):
                yield from _named(line, recursive=recursive)
        elif _WILDCARDS.intersection(text) and not os.path.lexists(text):
            yield from _matching(text, recursive=recursive)
        else:
            yield from _named(text, recursive=recursive)


def _lines(stdin: TextIO | BinaryIO | None) -> Iterator[str]:
    """Lines of standard input as paths: from its bytes, which need not be valid text."""
    stream = sys.stdin if stdin is None else stdin
    if stream is None:
        raise UsageError("standard input is closed, so there is no list to read from it")
    for number, line in enumerate(getattr(stream, "buffer", stream)):
        path = os.fsdecode(line).rstrip("\r\n")
        if number == 0:  # Windows programs begin a list with a byte order mark
            path = path.removeprefix(_BYTE_ORDER_MARK)
        if path.strip():
            yield path


def _matching(pattern: str, *, recursive: bool) -> Iterator[Source]:
    try:
        found = sorted(set(matches(pattern)))
    except ValueError:  # a null byte, or a character that no file name can hold
        found = []
    for path in found:
        yield from _named(path, recursive=recursive)
    if not found:
        yield _problem(pattern, "no such file, and nothing matches it as a pattern; check it")


def _named(text: str, *, recursive: bool) -> Iterator[Source]:
    try:
        mode = os.stat(text).st_mode  # noqa: PTH116 - Path("") would be the current folder
    except (OSError, ValueError) as error:  # ValueError: a name that no file can have
        FOLDERS.check(text)
        yield _lost(text, error)
        return
    FOLDERS.found(Path(text) if stat.S_ISDIR(mode) else Path(text).parent)
    yield from _inside(text, recursive=recursive) if stat.S_ISDIR(mode) else [_source(text)]


def _lost(text: str, error: OSError | ValueError) -> Source:
    if why := why_no_path(text):
        return _problem(text, why)
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        return _problem(text, "no such file or folder; check the name and the folder you are in")
    reason = getattr(error, "strerror", None) or "not a possible file name"
    return _problem(text, f"cannot be looked up: {reason}", "unreadable")


def _inside(folder: str, *, recursive: bool) -> Iterator[Source]:
    empty = True
    for below, files in tree(folder, suffixes=PHOTO_SUFFIXES + VIDEO_SUFFIXES, deep=recursive):
        if isinstance(files, OSError):
            FOLDERS.check(below)
            yield _problem(below, f"the folder cannot be listed: {files.strerror}", "unreadable")
            empty = False
            continue
        for path in files:
            yield _source(path)
            empty = False
    if empty:
        where = "in or below it" if recursive else "directly in it; --recursive looks deeper"
        yield _problem(folder, f"no photos or videos {where}")


def _source(path: str) -> Source:
    return Source(Path(path), "video" if is_video(path) else "photo")


def _problem(path: str, problem: str, status: PhotoStatus = "missing") -> Source:
    return Source(Path(path), "photo", f"{display_name(path) or repr(path)}: {problem}", status)
