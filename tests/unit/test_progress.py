"""Progress on standard error, and none where it is no terminal."""

from __future__ import annotations

import io
import sys

import pytest

from agelens.progress import counted, progress_bars


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def watched(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """A terminal in place of standard error; pytest puts its own back after each fixture."""
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    shown = Terminal()
    monkeypatch.setattr(sys, "stderr", shown)
    return shown


def test_a_terminal_sees_what_is_done_and_what_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = watched(monkeypatch)
    with progress_bars("faces") as bars:
        bars(3, 12)
    assert "faces" in terminal.getvalue()
    assert "3/12" in terminal.getvalue()


def test_steps_are_named_and_have_a_bar_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = watched(monkeypatch)
    with progress_bars("steps") as bars:
        bars(1, 5, "learning rates")
        with bars.below("trials", 9) as trial:
            trial(4, 9)
            bars(1, 5)
    shown = terminal.getvalue()
    assert "learning rates" in shown
    assert "trials" in shown


def test_bars_are_hidden_while_something_else_shows_its_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    terminal = watched(monkeypatch)
    with progress_bars("steps") as bars:
        bars(1, 5)
        with bars.hidden():
            before = len(terminal.getvalue())
            bars(2, 5)
            assert len(terminal.getvalue()) == before
        bars(3, 5)
    assert "3/5" in terminal.getvalue()


def test_items_are_counted_and_passed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = watched(monkeypatch)
    assert list(counted("abcd", "letters")) == list("abcd")
    assert "4/4" in terminal.getvalue()


@pytest.mark.parametrize("quiet", [True, False])
def test_nothing_is_shown_where_nobody_watches(
    quiet: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = Terminal() if quiet else io.StringIO()
    monkeypatch.setattr(sys, "stderr", shown)
    with progress_bars("faces", quiet=quiet) as bars:
        bars(1, 2)
        with bars.below("parts") as part:
            part(1, 2)
    assert list(counted(iter("ab"), "letters", 2, quiet=quiet)) == ["a", "b"]
    assert shown.getvalue() == ""
