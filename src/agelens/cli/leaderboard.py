"""`agelens leaderboard`: options; the work is loaded on demand."""

from __future__ import annotations

import argparse
from importlib import import_module
from pathlib import Path
from typing import Any, Final

from agelens.cli.evaluation_options import add_bootstrap
from agelens.cli.extras import require

_NEEDED: Final = ("pandas", "scipy", "fairlearn", "yaml")


def add_command(commands: Any) -> None:
    """Add `leaderboard` to the parser's subcommands."""
    parser = commands.add_parser(
        "leaderboard",
        help="write a table of runs as markdown",
        description="A markdown table of finished runs: method, data, split, leaks, seeds, MAE "
        "with interval, CS@5, coverage, size, time, and the commands that make them. Runs of one "
        "configuration and several seeds are one line for each test set.",
    )
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN", help="of agelens train")
    parser.add_argument(
        "-o", "--output", type=Path, metavar="FILE", help="such as docs/leaderboard.md (printed)"
    )
    parser.add_argument(
        "--only", action="append", metavar="DATASET", help="lines of this test set; again for more"
    )
    parser.add_argument(
        "--no-time", action="store_true", help="do not measure how long a chip takes"
    )
    parser.add_argument(
        "--allow-mixed-age-kinds",
        action="store_true",
        help="lines of real, apparent and estimated ages in one table",
    )
    add_bootstrap(parser)
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    require(_NEEDED, "leaderboard")
    return int(import_module("agelens.cli.leaderboard_run").run(options))
