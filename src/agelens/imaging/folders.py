"""Searching folders: a walk that links in a circle cannot trap, and patterns upon it.

The standard library's own ``**`` follows such links until the path is too long for the
system, which two of them turn into for ever.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from glob import escape, glob
from pathlib import Path
from typing import Final, TypeAlias

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
