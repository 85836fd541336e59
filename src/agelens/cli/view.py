"""What a person sees of a run: a table, a progress bar, one line at the end."""

from __future__ import annotations

import codecs
import json
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self

from agelens.errors import OutputError
from agelens.imaging.sources import Source
from agelens.inference.results import PhotoResult
from agelens.records import AgeEstimate

if TYPE_CHECKING:
    from rich.progress import Progress

_READ: Final = frozenset({"ok", "no_face"})
_NAME_WIDTH: Final = 36
_HEADER: Final = f"{'photo':{_NAME_WIDTH}}  face    age  interval     gender  note"


class View:
    """Shows rows on standard output and progress on standard error.

    Args:
        table: rows as a table; else as JSON Lines.
        quiet: neither table nor progress; JSON Lines are the output itself and stay.
    """

    def __init__(self, *, table: bool, quiet: bool = False) -> None:
        self.statuses: Counter[str] = Counter()
        self._table = table
        self._quiet = quiet
        self._headed = False
        self._intervals: set[str] = set()
        self._progress: Progress | None = None
        if not quiet and sys.stderr.isatty():
            self._progress = _progress_bar()
        self._task = self._progress.add_task("photos", total=None) if self._progress else None

    @property
    def failed(self) -> bool:
        """Whether any photo could not be used."""
        return any(status not in _READ for status in self.statuses)

    def counting(self, sources: Iterator[Source]) -> Iterable[Source]:
        """`sources`, listed first where a progress bar wants their number."""
        if self._progress is None or self._task is None:
            return sources
        listed = list(sources)
        self._progress.update(self._task, total=len(listed))
        return listed

    def skipped(self, _: Source, statuses: Counter[str]) -> None:
        """Count a source that an earlier run has done."""
        self.statuses += statuses
        self._advance()

    def show(self, result: PhotoResult, row: dict[str, Any]) -> None:
        """Show one result; `row` is its JSON form."""
        if not self._table:
            encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
            utf8 = codecs.lookup(encoding).name == "utf-8"
            _print(json.dumps(row, ensure_ascii=not utf8))
        elif not self._quiet:
            if not self._headed:
                _print(_HEADER)
                self._headed = True
            for line in _lines(result):
                _print(line)
            self._intervals |= {face.interval for face in result.faces if face.interval}
        self.statuses[result.status] += 1
        self._advance()

    def __enter__(self) -> Self:
        if self._progress:
            self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None
    ) -> None:
        if self._progress:
            self._progress.stop()
        for words in sorted(self._intervals) if kind is None else ():
            _print(f"interval: {words}")
        if self._table and not self._quiet and self.statuses:
            counts = ", ".join(f"{n} {status}" for status, n in sorted(self.statuses.items()))
            print(f"{sum(self.statuses.values())} rows: {counts}", file=sys.stderr)

    def _advance(self) -> None:
        if self._progress and self._task is not None:
            self._progress.advance(self._task)


def _print(line: str) -> None:
    try:
        print(line, flush=True)
    except BrokenPipeError:
        raise
    except OSError as error:
        raise OutputError(f"cannot write to standard output: {error.strerror}") from error


def _progress_bar() -> Progress:
    # Only on a terminal: it is a tenth of a second that a script need not wait.
    from rich.console import Console  # noqa: PLC0415
    from rich.progress import MofNCompleteColumn, Progress, TimeRemainingColumn  # noqa: PLC0415

    return Progress(
        *Progress.get_default_columns()[:2],
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
        redirect_stdout=sys.stdout.isatty(),
    )


def _lines(result: PhotoResult) -> Iterator[str]:
    name = result.photo if result.frame is None else f"{result.photo} #{result.frame}"
    if len(name) > _NAME_WIDTH:
        name = "…" + name[-_NAME_WIDTH + 1 :]
    if not result.faces:
        yield f"{name:{_NAME_WIDTH}}     -      -  -            -       {result.message}"
    for index, face in enumerate(result.faces):
        gender = face.gender or "-"
        yield f"{name:{_NAME_WIDTH}}  {index:4}  {_ages(face)}  {gender:6}  {_note(face)}"


def _ages(face: AgeEstimate) -> str:
    shown = face.interval_shown
    interval = f"{face.low_years:.0f} to {face.high_years:.0f}" if shown else "-"
    return f"{face.estimate_years:5.1f}  {interval:11}"


def _note(face: AgeEstimate) -> str:
    notes = []
    if face.track:
        notes.append(f"track {face.track.track}: {face.track.estimate_years:.1f}")
    if face.refer:
        notes.append(f"refer: {face.refer}")
    return "; ".join(notes)
