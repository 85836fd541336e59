"""Files on any file system: local paths, and the URLs that pyarrow or fsspec open.

Credentials are the user's own, as each file system finds them: environment, files in the home
folder, the machine's role. Nothing here reads or stores them.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import IO, BinaryIO, Final, cast
from urllib.parse import urlsplit

import pyarrow as pa
import pyarrow.fs as pafs

from agelens.atomic import write_atomically
from agelens.errors import MissingDependencyError, OutputError, PhotoError, UsageError

LARGEST_PHOTO: Final = 2**28
"""Bytes of an encoded photo that are read from a network or an archive: 256 MiB."""
_URL: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")
_MARK: Final = "_"
_GOOGLE: Final = ("gs", "gcs")
_GOOGLE_OPTIONS: Final = "retry_limit_seconds=30"
"""Without it, whoever has no credentials is told so after a quarter of an hour."""


def is_url(name: str) -> bool:
    """Whether `name` is a URL, and no local path."""
    return _URL.match(name) is not None


def split_options(name: str) -> tuple[str, str, str]:
    """A URL's address, the mark before the options of its file system, and these."""
    return name.partition("?") if is_url(name) else (name, "", "")


@dataclass(frozen=True, slots=True)
class Location:
    """A file or folder; `name` is a local path or a URL, as it was given.

    A URL may carry options of its file system: ``s3://bucket/key?endpoint_override=...``. `raw`
    is set where the path was listed by the file system, and may hold any character.
    """

    name: str
    raw: str | None = None

    def __truediv__(self, below: str) -> Location:
        address, mark, options = split_options(self.name)
        return Location(f"{address.rstrip('/')}/{below}{mark}{options}")

    @property
    def parent(self) -> str:
        """The folder that it is in."""
        if self.is_local:
            return str(Path(self.name).parent)
        address, mark, options = split_options(self.name)
        return f"{address.rpartition('/')[0]}{mark}{options}"

    @property
    def is_local(self) -> bool:
        """Whether it is on this machine's own file system."""
        return not is_url(self.name)

    @property
    def shown(self) -> str:
        """Its name without the options of its file system."""
        if self.raw is not None:
            return f"{urlsplit(self.name).scheme}://{self.raw}"
        return split_options(self.name)[0]

    @property
    def absolute(self) -> str:
        """Its name for whoever works in another folder."""
        return str(Path(self.name).absolute()) if self.is_local else self.name

    def opened(self) -> tuple[pafs.FileSystem, str]:
        """The file system, and the path in it.

        Raises:
            UsageError: there is no such file system.
            MissingDependencyError: its package is not installed.
        """
        if self.is_local:
            return pafs.LocalFileSystem(), str(Path(self.name).absolute())
        url = urlsplit(self.name)
        if url.password is not None:
            raise UsageError(
                f"{url.scheme}://...@{url.hostname}: keep passwords out of URLs, since a run "
                "writes its inputs down: give them in the environment, or where your file system "
                "looks for them"
            )
        found, root = _file_system(url.scheme, url.netloc, url.query)
        return found, root + url.path.lstrip("/") if self.raw is None else self.raw

    def info(self) -> pafs.FileInfo:
        """Kind, size and time of change; a kind of its own where there is nothing.

        Raises:
            OSError: the file system cannot be asked.
        """
        system, path = self.opened()
        with _as_os_errors():
            return system.get_file_info(path)

    def open_file(self) -> BinaryIO:
        """Open for reading anywhere in it; raises OSError where that fails."""
        system, path = self.opened()
        with _as_os_errors():
            return cast(BinaryIO, system.open_input_file(path))

    def open_stream(self) -> BinaryIO:
        """Open for reading from start to end; raises OSError where that fails."""
        system, path = self.opened()
        with _as_os_errors():
            return cast(BinaryIO, system.open_input_stream(path))

    def read(self) -> bytes:
        """All of a small file.

        Raises:
            FileNotFoundError: there is none.
            OutputError: it cannot be read.
        """
        try:
            with self.open_stream() as file:
                return file.read()
        except FileNotFoundError:
            raise
        except OSError as error:
            raise OutputError(f"cannot read {self.shown}: {error}") from error

    def write(self, content: bytes) -> None:
        """Write a file that appears whole or not at all; its folder is made.

        Raises:
            OutputError: it cannot be written.
        """
        if self.is_local:
            write_atomically(Path(self.name), content)
            return
        system, path = self.opened()
        try:
            # An object is there once its upload is complete; where a folder is needed, it is made.
            with _as_os_errors():
                system.create_dir(path.rpartition("/")[0], recursive=True)
                with system.open_output_stream(path) as file:
                    file.write(content)
        except OSError as error:
            raise OutputError(f"cannot write {self.shown}: {error}") from error

    def remove(self) -> None:
        """Remove a file that may be there."""
        system, path = self.opened()
        try:
            system.delete_file(path)
        except FileNotFoundError:
            return

    def listed(self, *, recursive: bool = False) -> Iterator[pafs.FileInfo]:
        """The files in a folder in the order of their paths, none where there is no folder."""
        system, path = self.opened()
        selector = pafs.FileSelector(path, recursive=recursive, allow_not_found=True)
        with _as_os_errors():
            found = system.get_file_info(selector)
        files = [one for one in found if one.type == pafs.FileType.File]
        yield from sorted(files, key=lambda one: one.path)


@contextmanager
def _as_os_errors() -> Iterator[None]:
    """What the libraries of file systems raise, as an OSError of one line."""
    try:
        yield
    except pa.ArrowException as error:
        raise OSError(_in_short(error)) from error
    except OSError as error:
        if error.errno is not None or type(error) is not OSError:
            raise
        raise OSError(_in_short(error)) from error


def _in_short(error: BaseException) -> str:
    """Without the rest that libraries say to their makers, in which some say it all again."""
    return str(error).partition("\n")[0].partition(" error_info=")[0]


@lru_cache(maxsize=64)
def _file_system(scheme: str, authority: str, options: str) -> tuple[pafs.FileSystem, str]:
    """A file system, and how paths of this authority begin in it."""
    url = f"{scheme}://{authority}/{_MARK}"
    if scheme in _GOOGLE and "retry_limit_seconds" not in options:
        options = f"{options}&{_GOOGLE_OPTIONS}" if options else _GOOGLE_OPTIONS
    try:
        system, path = pafs.FileSystem.from_uri(f"{url}?{options}" if options else url)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        try:
            from fsspec.core import url_to_fs  # noqa: PLC0415 - only what pyarrow does not know

            inner, path = url_to_fs(url)
        except ImportError as error:
            raise MissingDependencyError(f"{scheme}://: {error}") from error
        except ValueError as error:
            raise UsageError(f"{scheme}:// is no known file system: {error}") from error
        system = pafs.PyFileSystem(pafs.FSSpecHandler(inner))
    except OSError as error:
        raise UsageError(f"{scheme}:// cannot be used here: {_in_short(error)}") from error
    return system, path.removesuffix(_MARK)


class RemotePhoto:
    """A photo that is fetched when it is read, by the thread that decodes it."""

    def __init__(self, location: Location) -> None:
        self.location = location
        self.name = location.shown

    @classmethod
    def of(cls, location: Location) -> IO[bytes]:
        """It, as the file that it reads like."""
        return cast(IO[bytes], cls(location))

    def seekable(self) -> bool:
        """It is read once, from its start."""
        return False

    def read(self) -> bytes:
        """The encoded photo.

        Raises:
            PhotoError: it is not there, or too large.
            OSError: it cannot be read.
        """
        try:
            with self.location.open_stream() as file:
                content = file.read(LARGEST_PHOTO + 1)
        except FileNotFoundError as error:
            raise PhotoError(f"{self.name}: no such file", status="missing") from error
        check_size(self.name, len(content))
        return content


def check_size(name: str, size: int) -> None:
    """Make sure that an encoded photo is no larger than is read.

    Raises:
        PhotoError: it is larger.
    """
    if size > LARGEST_PHOTO:
        raise PhotoError(
            f"{name}: an encoded photo of more than {LARGEST_PHOTO:,} bytes is not read",
            status="too_large",
            source=name,
        )


def joined(folder: str, path: str) -> str:
    """`path` seen from `folder`, either of which may be a URL."""
    if is_url(path) or os.path.isabs(path):  # noqa: PTH117 - text in and out
        return path
    return (Location(folder) / path).name if is_url(folder) else os.path.join(folder, path)  # noqa: PTH118
