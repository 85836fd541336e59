"""`agelens train`: options. What it does is loaded on demand."""

from __future__ import annotations

import argparse
from importlib import import_module
from typing import Any, Final

from agelens.cli.extras import require

NEEDED: Final = (
    *("torch", "torchvision", "timm", "pytorch_lightning", "jsonargparse", "safetensors"),
    *("pandas", "scipy", "datasets", "tensorboard", "yaml"),
)
NO_PREFIX: Final = "\0"


def add_commands(commands: Any) -> None:
    """Add `train` to the parser's subcommands."""
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


def _train(options: argparse.Namespace) -> int:
    require(NEEDED, "train")
    return int(import_module("agelens.cli.train_run").train(options.words))
