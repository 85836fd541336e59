"""Result rows on disk: streamed as they come, valid whenever the run is cut short.

JSON Lines are appended row by row. CSV and Parquet cannot be: their rows go to a journal
(`NAME.partial.jsonl`) first, and the file itself appears by one atomic rename when the
run ends or is interrupted. A journal, like a JSON Lines file, is what `--resume` reads.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Literal, Self, TypeAlias

from agelens.errors import OutputError, UsageError
from agelens.inference.result_tables import TABLE_WRITERS

IfExists: TypeAlias = Literal["refuse", "resume", "overwrite"]

OUTPUT_SUFFIXES: Final = (".jsonl", *TABLE_WRITERS)
_JOURNAL_SUFFIX: Final = ".partial.jsonl"


@dataclass(frozen=True, slots=True)
class DoneRow:
    """A row that an earlier run wrote whole; `end` is the offset of the byte after it."""

    row: dict[str, Any]
    end: int


def is_whole(path: Path) -> bool:
    """Whether `path` is a CSV or Parquet table that an earlier run has finished."""
    return path.suffix.lower() in TABLE_WRITERS and path.exists() and not _journal_of(path).exists()


class ResultFile:
    """The output of one run: `append` each row, then leave the `with` block.

    Args:
        path: ends in .jsonl, .csv or .parquet; its folder must exist.
        if_exists: what to do where an earlier run left rows.

    Raises:
        UsageError: an unknown suffix, no such folder, or rows exist and `if_exists` is
            ``refuse``; or a finished table is to be resumed, see `is_whole`.
        OutputError: the folder or the file cannot be written.
    """

    def __init__(self, path: Path, *, if_exists: IfExists = "refuse") -> None:
        self.path = path
        self._to_table = TABLE_WRITERS.get(path.suffix.lower())
        if path.suffix.lower() not in OUTPUT_SUFFIXES:
            raise UsageError(
                f"{path}: results are written as {', '.join(OUTPUT_SUFFIXES)}; "
                f"{path.suffix or 'no suffix'!r} is none of them"
            )
        if not path.parent.is_dir():
            raise UsageError(f"{path}: the folder {path.parent} does not exist; create it first")
        self.journal = _journal_of(path) if self._to_table else path
        if if_exists == "resume" and is_whole(path):
            raise UsageError(f"{path} is whole already; there is nothing to resume")
        if if_exists == "refuse" and (path.exists() or self.journal.exists()):
            left = path if path.exists() else self.journal
            raise UsageError(f"{left} exists already: choose --resume or --overwrite")
        try:
            self._file = self.journal.open("ab" if if_exists == "resume" else "wb", buffering=0)
        except OSError as error:
            raise OutputError(f"cannot write {self.journal}: {error.strerror}") from error

    def done(self) -> Iterator[DoneRow]:
        """The whole rows that are there; what a kill tore at the end is left out."""
        end = 0
        with self.journal.open("rb") as file:
            for line in file:
                if not line.endswith(b"\n"):
                    return
                end += len(line)
                try:
                    row = json.loads(line)
                    row["photo"], row["status"]  # what every row has
                except (ValueError, TypeError, KeyError) as error:
                    raise OutputError(
                        f"{self.journal}: cannot resume, the line at byte {end - len(line)} is no "
                        f"row of results ({error}); use --overwrite"
                    ) from error
                yield DoneRow(row, end)

    def keep(self, end: int) -> None:
        """Cut off everything after byte `end`; rows are appended from there."""
        self._file.truncate(end)
        self._file.seek(end)

    def append(self, row: dict[str, Any]) -> None:
        """Write one row and hand it to the operating system at once.

        Raises:
            OutputError: no space, or another fault of the disk; the rows before this one
                stay whole.
        """
        line = json.dumps(row, ensure_ascii=False, allow_nan=False).encode() + b"\n"
        start = self._file.tell()
        try:
            written = self._file.write(line)
            if written < len(line):
                written += self._file.write(line[written:])
        except OSError as error:
            self._file.truncate(start)
            raise OutputError(
                f"cannot write {self.journal}: {error.strerror}. The rows before are kept: "
                "make room and go on with --resume"
            ) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None
    ) -> None:
        if kind is None:
            os.fsync(self._file.fileno())
        self._file.close()
        # A fault of the disk would only repeat itself; an interrupt still gets its table.
        if self._to_table and (kind is None or not issubclass(kind, OutputError)):
            self._write_table(whole=kind is None)

    def _write_table(self, *, whole: bool) -> None:
        assert self._to_table is not None  # noqa: S101 - the caller has asked
        partial = self.path.with_name(self.path.name + ".partial")
        try:
            self._to_table((done.row for done in self.done()), partial)
            partial.replace(self.path)
        except OSError as error:
            partial.unlink(missing_ok=True)
            raise OutputError(
                f"cannot write {self.path}: {error.strerror}. The rows are kept in "
                f"{self.journal}: make room and go on with --resume"
            ) from error
        if whole:
            self.journal.unlink()


def _journal_of(path: Path) -> Path:
    return path.with_name(path.name + _JOURNAL_SUFFIX)
