"""The table of commands: help, suggestions, exit statuses, missing packages."""

from __future__ import annotations

import errno
import functools
import inspect
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from importlib import import_module
from importlib.metadata import packages_distributions
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from agelens import cli
from agelens.cli import COMMANDS, EXIT_STATUSES, Command, main
from agelens.cli.options import options_parser, parsed_options
from agelens.errors import EXTRAS, ExportError, OutputError, TableError, TrainingError, UsageError

Run = Callable[..., Any]
ROOT = Path(__file__).parents[3]


def failing() -> None:
    """Fail."""
    raise PENDING[0]


PENDING: list[BaseException] = []


@pytest.fixture
def fail(agelens: Run, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Runs a command that raises what it is given."""
    monkeypatch.setitem(sys.modules, "agelens.cli.failing_command", sys.modules[__name__])
    added = Command("fail", "fail", "failing_command:failing", kept="all is kept")
    monkeypatch.setitem(COMMANDS, "fail", added)

    def run(error: BaseException, *words: str) -> Any:
        PENDING[:] = [error]
        return agelens("fail", *words)

    return run


def test_the_help_lists_every_command_with_an_example(agelens: Run) -> None:
    ran = agelens("--help")
    assert ran.status == 0
    lines = [line.strip() for line in ran.out.splitlines()]
    assert "start here" in lines
    for name, command in COMMANDS.items():
        assert any(line.startswith(f"{name} ") and line.endswith(command.help) for line in lines)
        assert f"agelens {command.example}" in lines
        assert command.example.startswith(name)
    assert max(map(len, ran.out.splitlines())) <= 100


def test_commands_of_a_group_stand_together() -> None:
    groups = [command.group for command in COMMANDS.values()]
    changes = sum(1 for before, group in pairwise(groups) if before != group)
    assert changes == len(set(groups)) - 1


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_a_home_and_help(name: str, agelens: Run) -> None:
    module, _, function = COMMANDS[name].home.partition(":")
    assert callable(getattr(import_module(f"agelens.cli.{module}"), function))
    ran = agelens(*name.split(), "--help")
    assert ran.status == 0, ran.err
    assert ran.out.startswith(f"usage: agelens {name}")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["estimat"], "Did you mean agelens estimate?"),
        (["evalaute", "x.csv"], "Did you mean agelens evaluate?"),
        (["zzz"], "there is no command 'zzz'"),
        ([], "name a command"),
    ],
)
def test_a_mistyped_command_gets_a_suggestion(words: list[str], told: str, agelens: Run) -> None:
    ran = agelens(*words)
    assert (ran.status, ran.out) == (2, "")
    assert told in ran.err


def test_commands_of_two_words_are_listed_by_their_first(
    agelens: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("fruit peel", "fruit eat"):
        added = Command(f"{name}!", name, "training:runs")
        monkeypatch.setitem(COMMANDS, name, added)
    shown = agelens("fruit", "--help")
    assert shown.status == 0
    assert "agelens fruit peel" in shown.out
    assert "agelens estimate" not in shown.out
    assert "name a command; agelens fruit --help" in agelens("fruit").err
    assert "Did you mean agelens fruit peel?" in agelens("fruit", "peal").err
    assert agelens("fruit", "eat", "--help").out.startswith("usage: agelens fruit eat")


@pytest.mark.parametrize(
    ("error", "status", "told"),
    [
        (UsageError("clash"), 2, "agelens: error: clash"),
        (TableError("no column"), 2, "agelens: error: no column"),
        (
            TableError("column '\x1b]0;mine\x07\udcffé'\n  too"),
            2,
            "agelens: error: column '\\x1b]0;mine\\x07\\udcffé'\n  too",
        ),
        (OutputError("no room"), 1, "agelens: error: no room"),
        (TrainingError("nan"), 1, "agelens: error: nan"),
        (ExportError("apart"), 1, "agelens: error: apart"),
        (
            OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "x.csv"),
            1,
            "agelens: error: No space left on device: x.csv",
        ),
        (BrokenPipeError(), 1, ""),
        (MemoryError(), 1, "agelens: error: there is not enough memory for this"),
        (KeyboardInterrupt(), 130, "agelens: interrupted; all is kept"),
        (
            ModuleNotFoundError("No module named 'torch'", name="torch"),
            1,
            "agelens: error: agelens fail needs torch: pip install 'agelens[train]'",
        ),
        (
            ModuleNotFoundError("No module named 'faiss.x'", name="faiss.x"),
            1,
            "agelens: error: agelens fail needs faiss: pip install 'agelens[identity]'",
        ),
    ],
)
def test_a_failure_is_a_sentence_and_an_exit_status(
    error: BaseException, status: int, told: str, fail: Run
) -> None:
    ran = fail(error)
    assert (ran.status, ran.out) == (status, "")
    assert ran.err.rstrip("\n") == told
    assert ran.status in EXIT_STATUSES


@pytest.mark.parametrize("error", [UsageError("clash"), KeyboardInterrupt()])
def test_debug_shows_where_it_came_from(error: BaseException, fail: Run) -> None:
    with pytest.raises(type(error)):
        fail(error, "--debug")


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (KeyError("a bug"), "KeyError: 'a bug'"),
        (
            ModuleNotFoundError("No module named 'mine'", name="mine"),
            "ModuleNotFoundError: No module named 'mine'",
        ),
    ],
)
def test_a_bug_is_a_sentence_that_says_where(
    error: Exception, told: str, fail: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    PENDING[:] = [error]
    with pytest.raises(AssertionError):  # the fixture's: no other test may end so
        fail(error)
    assert main(["fail"]) == 1
    err = capsys.readouterr().err
    assert err.startswith(f"agelens: error: {told}\nThis was not foreseen: ")
    assert re.search(r"> test_commands\.py:\d+\)", err)
    with pytest.raises(type(error)):
        fail(error, "--debug")


NAMED = [*COMMANDS, ""]


@pytest.fixture
def help_into(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, Any], int]:
    """Print a command's help to a stream as the system has it; the exit status."""

    def help_into(name: str, stream: Any) -> int:
        monkeypatch.setattr(sys, "stdout", stream)
        try:
            return main([*name.split(), "--help"])
        except SystemExit as done:
            return int(done.code or 0)

    return help_into


@pytest.mark.parametrize("name", NAMED)
def test_a_full_output_fails_every_command(
    name: str, help_into: Callable[[str, Any], int], capsys: pytest.CaptureFixture[str]
) -> None:
    with Path("/dev/full").open("w", encoding="utf-8") as full:
        status = help_into(name, full)
    assert (status, capsys.readouterr().err) == (
        1,
        "agelens: error: cannot write to standard output: No space left on device\n",
    )


@pytest.mark.parametrize("name", NAMED)
def test_a_reader_that_is_gone_ends_every_command_in_silence(
    name: str, help_into: Callable[[str, Any], int], capsys: pytest.CaptureFixture[str]
) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w", encoding="utf-8") as pipe:
        assert help_into(name, pipe) == 1
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("name", NAMED)
def test_a_closed_output_fails_every_command(
    name: str, help_into: Callable[[str, Any], int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert help_into(name, None) == 1
    told = "agelens: error: standard output is closed: name an --output, or open it\n"
    assert capsys.readouterr().err == told
    assert sys.stdout is None  # as it was


def test_closed_streams_are_nobodys_file() -> None:
    """Else the next file that is opened would be what libraries print to."""
    script = (
        "import os, sys; from agelens import cli\n"
        "def look(*_): os.write(9, str(os.open(os.devnull, 0)).encode()); return 0\n"
        "cli._told_in_general = look\n"
        "sys.exit(cli.main(['nothing', '-o', 'x']))"
    )
    command = shlex.join([sys.executable, "-c", script])
    ran = subprocess.run(
        ["/bin/sh", "-c", f"{command} 9>&1 >&- 2>&-"], capture_output=True, check=False, text=True
    )
    assert ran.returncode == 0
    assert int(ran.stdout) > 2


def test_sigterm_is_an_interrupt(tmp_path: Path) -> None:
    (tmp_path / "slow.py").write_text(
        "import time\n\ndef wait():\n    'Wait.'\n    print('up', flush=True)\n    time.sleep(60)\n"
    )
    script = (
        "import os, sys; sys.path.append(os.getcwd())\n"
        "from agelens import cli\n"
        "import slow; sys.modules['agelens.cli.slow'] = slow\n"
        "cli.COMMANDS['wait'] = cli.Command('x', 'x', 'slow:wait')\n"
        "raise SystemExit(cli.main(['wait']))"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT / "src"), "PYTHONSAFEPATH": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "up\n"
    time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (130, "agelens: interrupted\n")


def test_extras_bring_the_packages_that_they_are_named_for() -> None:
    brought = packages_distributions()
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    with_options = {"docstring_parser"}  # comes with jsonargparse[signatures]
    for extra, packages in EXTRAS.items():
        listed = text.partition(f"\n{extra} = [")[2].partition("\n]")[0].lower().replace("_", "-")
        for package in set(packages) - with_options:
            (name, *_) = {one.lower().replace("_", "-") for one in brought[package]}
            assert f'"{name}' in listed, package


def test_the_documentation_has_every_exit_status() -> None:
    text = (ROOT / "docs" / "commands.md").read_text(encoding="utf-8")
    for status, meaning in EXIT_STATUSES.items():
        assert f"| {status} | {meaning} |" in text


def test_help_loads_nothing() -> None:
    script = "import sys; from agelens.cli import main; main(['--help']); print(*sys.modules)"
    ran = subprocess.run(
        [sys.executable, "-c", script],
        env=os.environ | {"PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
        check=True,
    )
    loaded = set(ran.stdout.splitlines()[-1].split())
    assert not loaded & {"torch", "numpy", "pandas", "jsonargparse", "rich", "cv2", "argparse"}
    assert cli.__name__ in loaded


TYPED = [name for name, command in COMMANDS.items() if command.options == "signature"]
# A frame may be drawn closer.
MAY_BE_NEGATIVE = {(command, "margin") for command in ("data prepare", "export", "import")}


def function_of(name: str) -> Callable[..., Any]:
    module, _, function = COMMANDS[name].home.partition(":")
    found: Callable[..., Any] = getattr(import_module(f"agelens.cli.{module}"), function)
    return found


@pytest.mark.parametrize("name", TYPED)
def test_no_command_takes_numbers_that_make_no_sense(name: str) -> None:
    for option in options_parser(function_of(name), name)._actions:
        if option.metavar not in ("N", "X") or (name, option.dest) in MAY_BE_NEGATIVE:
            continue
        for number in ("-1", "nan", "some"):
            words = [option.option_strings[-1], number]
            with pytest.raises(UsageError, match=f"{words[0]}: must be a"):
                parsed_options(needs_nothing(function_of(name)), name, words)


def needs_nothing(function: Callable[..., Any]) -> Callable[..., Any]:
    """The same options, none of which must be given."""

    @functools.wraps(function)
    def free(**options: Any) -> None: ...

    parameters = [
        parameter.replace(
            default=None if parameter.default is parameter.empty else parameter.default,
            kind=parameter.KEYWORD_ONLY,
        )
        for parameter in inspect.signature(function).parameters.values()
    ]
    free.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    return free
