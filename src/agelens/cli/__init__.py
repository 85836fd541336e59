"""The command `agelens`: one file a group of commands, each thin.

Exit status: 0 all went well, 1 the run itself failed (a full disk), 2 wrong usage, 3
some photos could not be used (their rows say why), 130 interrupted.
"""

from __future__ import annotations

import argparse
import io
import os
import sys
from collections.abc import Sequence
from typing import Final

from agelens.cli import (
    compare,
    data,
    estimate,
    evaluation,
    explain,
    export,
    identity,
    leaderboard,
    nist,
    registries,
    stress,
    train,
    tune,
)
from agelens.errors import (
    AgelensError,
    ExportError,
    MissingDependencyError,
    OutputError,
    TrainingError,
)
from agelens.version import __version__

_FAILURES: Final = (OutputError, MissingDependencyError, ExportError, TrainingError)
_FAILED: Final = 1
_WRONG_USAGE: Final = 2
_INTERRUPTED: Final = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="agelens",
        description="How old faces look, and how sure that is.",
        epilog="An age estimate is no proof of age: see the README for what it is not fit for.",
    )
    parser.add_argument("--version", action="version", version=f"agelens {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    estimate.add_command(commands)
    registries.add_commands(commands)
    data.add_commands(commands)
    evaluation.add_commands(commands)
    explain.add_command(commands)
    compare.add_command(commands)
    leaderboard.add_command(commands)
    nist.add_command(commands)
    stress.add_command(commands)
    train.add_commands(commands)
    tune.add_command(commands)
    export.add_command(commands)
    identity.add_commands(commands)
    options = parser.parse_args(arguments)
    if isinstance(sys.stdout, io.TextIOWrapper):
        # Names are Unicode: where a terminal is not, escapes are better than a crash.
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        return int(options.run(options))
    except BrokenPipeError:
        return _FAILED  # whoever read our rows has seen enough; there is nobody left to tell
    except AgelensError as error:
        print(f"agelens: error: {error}", file=sys.stderr)
        return _FAILED if isinstance(error, _FAILURES) else _WRONG_USAGE
    except KeyboardInterrupt:
        print("agelens: interrupted; the rows so far are kept", file=sys.stderr)
        return _INTERRUPTED
    finally:
        _flush_stdout()


def _flush_stdout() -> None:
    """Leave nothing for Python to flush at exit: it would complain of a reader gone away."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
