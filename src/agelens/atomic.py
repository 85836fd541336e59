"""Files that appear whole or not at all, even where the machine stops."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any, Final

from agelens.errors import OutputError, UsageError


def check_new_folder(folder: Path | None) -> None:
    """Check that a folder, if one is named, is new or empty: before hours of work, not after them.

    Raises:
        UsageError: it is neither, or another run is writing it.
    """
    if folder:
        OUTPUTS.claim(folder)
    if folder and folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(f"{folder} exists and is not empty; name a new folder")


@contextmanager
def atomic_folder(folder: Path, what: str) -> Iterator[Path]:
    """A folder to write into, which becomes `folder` once all is written.

    Args:
        folder: must not exist, or be empty.
        what: what is written, for the error.

    Raises:
        UsageError: `folder` exists and is not empty, or another run is writing it.
        OutputError: it cannot be written; nothing is left behind.
    """
    partial = folder.with_name(f".{folder.name}.partial")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with OUTPUTS.held(folder):
            check_new_folder(folder)
            try:
                shutil.rmtree(partial, ignore_errors=True)  # of a run that was killed
                partial.mkdir()
                yield partial
                if folder.exists():
                    folder.rmdir()
                partial.rename(folder)
            finally:
                shutil.rmtree(partial, ignore_errors=True)
    except OSError as error:
        raise OutputError(f"cannot write the {what} to {folder}: {error}") from error


@contextmanager
def locked(path: Path, busy: str, *, of: Path | None = None) -> Iterator[None]:
    """Hold the lock file at `path` while the context lasts; a process that dies holds nothing.

    Args:
        path: of the lock file, which is removed in the end.
        busy: the error where another process holds it.
        of: what it guards, for the error; the lock file's folder unless it is named.

    Raises:
        UsageError: another process does.
        OutputError: there cannot be a lock file.
    """
    from filelock import FileLock, Timeout  # noqa: PLC0415 - only who writes needs it

    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise UsageError(busy) from error
    except (OSError, NotImplementedError) as error:
        told = getattr(error, "strerror", None) or error
        raise OutputError(f"cannot write {of or path.parent}: {told}") from error
    try:
        yield
    finally:
        with suppress(OSError):  # Windows removes none that is open
            path.unlink(missing_ok=True)
        lock.release()


_RANKS: Final = ("LOCAL_RANK", "RANK", "SLURM_PROCID")


def is_helper() -> bool:
    """Whether this is a process beside the first one of a run, which alone writes."""
    return any(os.environ.get(name, "0") not in ("", "0") for name in _RANKS)


class Outputs:
    """What this process is writing, so that no other run writes it too."""

    def __init__(self) -> None:
        self._held = ExitStack()
        self._claimed: set[Path] = set()
        self._commands = 0

    @contextmanager
    def of_command(self) -> Iterator[None]:
        """What is claimed in this context stays ours until its end."""
        self._commands += 1
        try:
            with self._held:
                yield
        finally:
            self._commands -= 1

    def claim(self, path: Path) -> None:
        """Keep `path` from other runs until the command ends; outside of a command, nothing is.

        Raises:
            UsageError: another run is writing it.
            OutputError: there cannot be a lock file beside it.
        """
        if not self._commands or is_helper():
            return
        folder = path.absolute().parent
        with suppress(OSError):  # who writes says why there cannot be such a folder
            self._held.enter_context(_made(folder))
        if folder.is_dir():
            self._held.enter_context(self.held(path))

    @contextmanager
    def held(self, path: Path) -> Iterator[None]:
        """`path` is ours while the context lasts.

        Raises:
            UsageError, OutputError: see `claim`.
        """
        place = path.absolute()
        if place in self._claimed:
            yield
            return
        busy = f"{path}: another agelens is writing it now; wait for it, or name another output"
        with locked(place.with_name(f".{path.name}.lock"), busy, of=path):
            self._claimed.add(place)
            try:
                yield
            finally:
                self._claimed.discard(place)


OUTPUTS: Final = Outputs()


@contextmanager
def _made(folder: Path) -> Iterator[None]:
    """`folder` exists in this context; where it is new and empty in the end, it goes again."""
    new = [one for one in (folder, *folder.parents) if not one.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    try:
        yield
    finally:
        for one in new:
            with suppress(OSError):  # something lies in it
                one.rmdir()


def is_locked(path: Path) -> bool:
    """Whether another process holds the lock file at `path`."""
    if not path.exists():
        return False
    try:
        with locked(path, ""):
            return False
    except UsageError:
        return True
    except OutputError:
        return False


_KEPT: Final = "What was there before is kept"


@contextmanager
def atomic_file(path: Path, what: str = "", *, advice: str = _KEPT) -> Iterator[Path]:
    """A name beside `path` to write to, which becomes `path` once all is written.

    Args:
        path: of the file; its folder must exist.
        what: what is written, for the error: ``the table``.
        advice: the way out, for the error.

    Raises:
        OutputError: it cannot be written, as on a full disk; nothing is left of it, and what
            was there before is kept.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    _remove_leftovers(path.parent)
    try:
        yield partial
        with partial.open("rb") as file:
            os.fsync(file.fileno())  # or a rename could outlive the content
        partial.replace(path)
    except OSError as error:
        named = f"{what} {path}" if what else str(path)
        raise OutputError(f"cannot write {named}: {error.strerror or error}. {advice}") from error
    finally:
        with suppress(OSError):  # where the folder is none, nothing was written
            partial.unlink(missing_ok=True)


@cache
def _remove_leftovers(folder: Path) -> None:
    """Remove, once a process, what writers of `folder` left that died on this machine."""
    with suppress(OSError):
        for partial in folder.glob(".*.partial"):
            writer = partial.suffixes[-2:-1] or [""]
            if writer[0][1:].isdecimal() and not _is_running(int(writer[0][1:])):
                partial.unlink(missing_ok=True)


def _is_running(process: int) -> bool:
    if os.name == "nt":  # there, to ask is to end it
        return True
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True


def write_atomically(path: Path, content: bytes, *, advice: str = _KEPT) -> None:
    """Write `content` to `path`, whose folder is made where it is absent; see `atomic_file`."""
    with atomic_file(path, advice=advice) as partial:
        path.parent.mkdir(parents=True, exist_ok=True)
        with partial.open("wb") as file:
            file.write(content)


def write_json(path: Path, document: Any) -> None:
    """Write plain JSON types, indented; see `write_atomically`."""
    text = json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False)
    write_atomically(path, text.encode() + b"\n")


def remove_partials(folder: Path) -> None:
    """Remove what killed writers left in `folder`, where nobody else writes now."""
    for partial in folder.glob(".*.partial"):
        if partial.is_file():
            partial.unlink(missing_ok=True)
