"""`agelens tune`: options. What it does is loaded on demand."""

from __future__ import annotations

import argparse
from importlib import import_module
from typing import Any, Final

from agelens.cli.extras import require

_NEEDED: Final = (
    *("torch", "torchvision", "timm", "pytorch_lightning", "jsonargparse", "safetensors"),
    *("pandas", "scipy", "datasets", "tensorboard", "yaml", "matplotlib", "optuna"),
)
_NO_PREFIX: Final = "\0"


def add_command(commands: Any) -> None:
    """Add `tune` to the parser's subcommands."""
    tune = commands.add_parser(
        "tune",
        help="find learning rate and weight decay in steps that are reported, then train",
        add_help=False,
        # As of `train`: without a prefix, all words are left to the parsers that know them.
        prefix_chars=_NO_PREFIX,
    )
    tune.add_argument("words", nargs="*")
    tune.set_defaults(run=_tune)


def _tune(options: argparse.Namespace) -> int:
    require(_NEEDED, "tune")
    return int(import_module("agelens.cli.tune_run").tune(options.words))
