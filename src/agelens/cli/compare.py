"""`agelens compare`: options; the work is loaded on demand."""

from __future__ import annotations

import argparse
from importlib import import_module
from pathlib import Path
from typing import Any, Final

from agelens.cli.evaluation_options import add_bootstrap, add_reading, add_split
from agelens.cli.extras import require

_NEEDED: Final = ("pandas", "scipy", "matplotlib", "seaborn", "fairlearn", "yaml")
_TO_TRAIN: Final = (
    *("torch", "torchvision", "timm", "pytorch_lightning", "jsonargparse", "safetensors"),
    *("datasets", "tensorboard", "onnxscript"),
)


def add_command(commands: Any) -> None:
    """Add `compare` to the parser's subcommands."""
    parser = commands.add_parser(
        "compare",
        help="compare models on the same samples: matrix, paired tests, ranks",
        description="Compare models dataset by dataset, on the samples that all of them answer: "
        "MAE with intervals by person, paired tests, ranks over people and seeds, what was a leak, "
        "and what others have published. Of runs, those of one configuration and several seeds "
        "are one model.",
    )
    parser.add_argument(
        "models",
        nargs="*",
        metavar="[NAME=]MODEL",
        help="a table of predictions (.parquet, .csv, of any tool), a folder of agelens train with "
        "its test predictions, or, with --on, a model's name, card or folder",
    )
    parser.add_argument(
        "--on",
        action="append",
        default=[],
        metavar="STORE[@PART]",
        help="a chip store (or its part) for all models and runs to be tried on, in place of the "
        "runs' own test predictions; again for several",
    )
    training = parser.add_argument_group("training what is compared")
    training.add_argument(
        "--train",
        action="append",
        default=[],
        type=Path,
        metavar="CONFIG",
        help="a configuration of agelens train; again for several. Finished runs are taken as they "
        "are, interrupted ones resumed",
    )
    training.add_argument(
        "--seeds", type=int, default=1, metavar="N", help="train each with seeds 0 to N-1 (1)"
    )
    training.add_argument(
        "--runs", type=Path, default=Path("runs"), metavar="DIR", help="where runs are (runs)"
    )
    parser.add_argument("-o", "--output", type=Path, metavar="DIR", help="a new folder")
    parser.add_argument("--json", action="store_true", help="print JSON")
    add_bootstrap(parser)
    parser.add_argument(
        "--flips", type=int, default=10_000, metavar="N", help="of the permutation test (10000)"
    )
    add_split(parser.add_argument_group("for stores"))
    add_reading(parser)
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    require((*_NEEDED, *_TO_TRAIN) if options.train else _NEEDED, "compare")
    return int(import_module("agelens.cli.compare_run").run(options))
