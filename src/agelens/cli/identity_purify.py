"""`agelens identity purify`: options; the work is loaded on demand."""

from __future__ import annotations

import argparse
from importlib import import_module
from pathlib import Path
from typing import Any, Final

from agelens.cli.extras import require

_NEEDED: Final = ("torch", "pandas")


def add_purify(subparsers: Any) -> None:
    """Add `purify` to the group's subcommands."""
    parser = subparsers.add_parser(
        "purify",
        help="train a small network that takes age out of embeddings",
        description="Train a purifier behind an extractor that stays as it is: people who have two "
        "faces or more, with ages (model-made ones will do). A fifth of the people validates, and "
        "chooses epoch and weight. What comes out is a --model of agelens identity embed, verify "
        "and search.",
    )
    parser.add_argument(
        "--embeddings", type=Path, required=True, metavar="E", help="of agelens identity embed"
    )
    parser.add_argument(
        "--purifier",
        default="iefp",
        help="iefp, dal or gradient-reversal; or none, the same training without any (iefp)",
    )
    parser.add_argument(
        "--weights",
        type=float,
        nargs="+",
        metavar="W",
        help="of the purifier beside the identity loss, to choose from (its own few)",
    )
    parser.add_argument("--epochs", type=int, metavar="N", help="of the identity branch")
    parser.add_argument("--seed", type=int, default=0, help="of all chance (0)")
    parser.add_argument(
        "-o", "--output", type=Path, required=True, metavar="DIR", help="a new folder"
    )
    parser.add_argument("--json", action="store_true", help="print JSON instead of sentences")
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    require(_NEEDED, "identity purify")
    return int(import_module("agelens.cli.identity_purify_run").run(options))
