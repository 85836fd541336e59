"""`agelens identity train`: options; the work is loaded on demand."""

from __future__ import annotations

import argparse
from importlib import import_module
from typing import Any

from agelens.cli.extras import require
from agelens.cli.train import NEEDED, NO_PREFIX


def add_train(subparsers: Any) -> None:
    """Add `train` to the group's subcommands."""
    parser = subparsers.add_parser(
        "train",
        help="train the two-branch network from a configuration",
        add_help=False,
        # As in `agelens train`: the options are the constructors' arguments.
        prefix_chars=NO_PREFIX,
    )
    parser.add_argument("words", nargs="*")
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    require(NEEDED, "identity train")
    return int(import_module("agelens.cli.identity_train_run").train(options.words))
