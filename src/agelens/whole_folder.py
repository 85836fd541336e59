"""A folder that appears whole or not at all."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from agelens.errors import OutputError, UsageError


@contextmanager
def whole_folder(folder: Path, what: str) -> Iterator[Path]:
    """A folder to write into, which becomes `folder` once all is written.

    Args:
        folder: must not exist, or be empty.
        what: what is written, for the error.

    Raises:
        UsageError: `folder` exists and is not empty.
        OutputError: it cannot be written; nothing is left behind.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(f"{folder} exists and is not empty; name a new folder")
    partial = folder.with_name(f".{folder.name}.partial")
    try:
        shutil.rmtree(partial, ignore_errors=True)  # of a run that was killed
        partial.mkdir(parents=True)
        yield partial
        if folder.exists():
            folder.rmdir()
        partial.rename(folder)
    except OSError as error:
        raise OutputError(f"cannot write the {what} to {folder}: {error}") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
