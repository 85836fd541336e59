"""Files of a run that appear whole or not at all, even where the machine stops."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

from agelens.errors import OutputError


def write_whole(path: Path, content: bytes) -> None:
    """Write `content` beside `path`, then move it there.

    Raises:
        OutputError: it cannot be written, as on a full disk; what was there before is kept.
    """
    partial = path.with_name(f".{path.name}.partial")
    try:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with partial.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            partial.replace(path)
        except OSError:
            with suppress(OSError):
                partial.unlink()
            raise
    except OSError as error:
        raise OutputError(
            f"cannot write {path}: {error.strerror}. What was there before is kept: make room, "
            "then go on with agelens train --resume"
        ) from error


def write_json(path: Path, document: Any) -> None:
    """Write plain JSON types, indented; raises as `write_whole` does."""
    text = json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False)
    write_whole(path, text.encode() + b"\n")
