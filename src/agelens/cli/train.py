"""`agelens train` and `agelens runs`: options. What they do is loaded on demand."""

from __future__ import annotations

import argparse
from importlib import import_module
from pathlib import Path
from typing import Any, Final

from agelens.cli.extras import require

NEEDED: Final = (
    *("torch", "torchvision", "timm", "pytorch_lightning", "jsonargparse", "safetensors"),
    *("pandas", "scipy", "datasets", "tensorboard", "yaml"),
)
NO_PREFIX: Final = "\0"


def add_commands(commands: Any) -> None:
    """Add both commands to the parser's subcommands."""
    train = commands.add_parser(
        "train",
        help="train an age estimator from a configuration",
        add_help=False,
        # The options are the constructors' arguments, and only their own parser knows them:
        # without a prefix, all words are left to it.
        prefix_chars=NO_PREFIX,
    )
    train.add_argument("words", nargs="*")
    train.set_defaults(run=_train)
    runs = commands.add_parser(
        "runs", help="list the runs in a folder", description="list the runs in a folder"
    )
    runs.add_argument("folder", nargs="?", type=Path, default=Path("runs"), metavar="FOLDER")
    runs.add_argument("--json", action="store_true", help="print JSON instead of a table")
    runs.set_defaults(run=_runs)


def _train(options: argparse.Namespace) -> int:
    require(NEEDED, "train")
    return int(import_module("agelens.cli.train_run").train(options.words))


def _runs(options: argparse.Namespace) -> int:
    return int(import_module("agelens.cli.runs").list_runs(options))
