"""Progress bars on standard error, and silence where no person watches.

Any package may show progress or take a callback of type `Progress`; whoever calls it decides
what it does. Rich is loaded only where standard error is a terminal.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Sized
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from rich.progress import Progress as RichProgress
    from rich.progress import TaskID

Item = TypeVar("Item")
Progress = Callable[[int, int], Any]
"""Called with how many are done, and of how many."""


def unseen(done: int, total: int) -> None:
    """Progress that nobody watches: the default of functions that take a callback."""


class ProgressBars:
    """One or more bars, one below the other; call it to move the first.

    Args:
        what: what is counted, such as ``faces``.
        bars: rich's bars, or None to show nothing.
    """

    def __init__(self, what: str, bars: RichProgress | None = None) -> None:
        self._bars = bars
        self._task = self._added(what)

    def __call__(self, done: int, total: int | None = None, what: str | None = None) -> None:
        """Show that `done` of `total` are done; what is None stays as it was.

        Args:
            done: how many are done.
            total: how many there are in all.
            what: what is counted from now on, such as the name of a step.
        """
        self._update(self._task, done, total, what)

    @contextmanager
    def below(self, what: str, total: int | None = None) -> Iterator[Progress]:
        """A further bar, gone when the context ends: what is done within one step."""
        task = self._added(what, total)
        try:
            yield lambda done, total: self._update(task, done, total)
        finally:
            if self._bars is not None and task is not None:
                self._bars.remove_task(task)

    @contextmanager
    def hidden(self) -> Iterator[None]:
        """Without bars while the context lasts: for what shows its own."""
        if self._bars is not None:
            self._bars.stop()
        yield
        if self._bars is not None:
            self._bars.start()

    def _added(self, what: str, total: int | None = None) -> TaskID | None:
        return None if self._bars is None else self._bars.add_task(what, total=total)

    def _update(
        self, task: TaskID | None, done: int, total: int | None, what: str | None = None
    ) -> None:
        if self._bars is not None and task is not None:
            self._bars.update(task, completed=done, total=total, description=what)


@contextmanager
def progress_bars(what: str, *, quiet: bool = False) -> Iterator[ProgressBars]:
    """Bars on standard error while the context lasts; none where it is no terminal.

    Args:
        what: what is counted, such as ``faces``.
        quiet: show nothing at all.
    """
    if quiet or not sys.stderr.isatty():
        yield ProgressBars(what)
        return
    from rich.console import Console  # noqa: PLC0415 - a tenth of a second
    from rich.progress import (  # noqa: PLC0415
        MofNCompleteColumn,
        Progress,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = Progress.get_default_columns()[:2]
    with Progress(
        *(*columns, MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn()),
        console=Console(stderr=True),
        transient=True,
        redirect_stdout=sys.stdout.isatty(),
    ) as bars:
        yield ProgressBars(what, bars)


def counted(
    items: Iterable[Item], what: str, total: int | None = None, *, quiet: bool = False
) -> Iterator[Item]:
    """`items` one by one, with a bar that shows how many were taken.

    Args:
        items: what is gone through.
        what: what they are, such as ``faces``.
        total: how many there are, where `items` has no length.
        quiet: show nothing.
    """
    if total is None and isinstance(items, Sized):
        total = len(items)
    with progress_bars(what, quiet=quiet) as bars:
        for done, item in enumerate(items):
            bars(done, total)
            yield item
        if total is not None:
            bars(total, total)
