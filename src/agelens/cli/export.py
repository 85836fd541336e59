"""`agelens export`: its options. What it does is loaded on demand."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from agelens.cli.extras import require
from agelens.errors import UsageError

if TYPE_CHECKING:
    from agelens.training.run_export import ExportedRun

_NEEDED: Final = ("torch", "torchvision", "timm", "pytorch_lightning", "jsonargparse", "onnxscript")
_CARD: Final = "card.json"


def add_command(commands: Any) -> None:
    """Add `export` to the parser's subcommands."""
    parser = commands.add_parser(
        "export",
        help="write a trained run as ONNX or TorchScript",
        description="Write the best epoch of a run as weights with their card, for agelens "
        "estimate --model. The exported network is compared with the trained one on chips of "
        "the validation part; where ages are more than 0.05 years apart, nothing is written.",
        epilog="int8 is not refused for being apart: its change of error is printed, and stands "
        "in the card.",
    )
    parser.add_argument(
        "folders",
        nargs="+",
        type=Path,
        metavar="RUN",
        help="folder of a finished agelens train; of several, one network that answers their mean",
    )
    parser.add_argument("--format", default="onnx", help="onnx or torchscript (onnx)")
    precision = parser.add_mutually_exclusive_group()
    parser.set_defaults(precision="single")
    for name, help_text in (
        ("half", "keep weights in half precision: half the size, the same speed"),
        ("int8", "reckon in whole numbers: a quarter of the size, faster; ONNX only"),
    ):
        precision.add_argument(
            f"--{name}", dest="precision", action="store_const", const=name, help=help_text
        )
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        metavar="DIR",
        help="folder (RUN itself; RUN/torchscript, RUN/onnx-half, ...)",
    )
    parser.add_argument("--json", action="store_true", help="print JSON instead of a sentence")
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    require(_NEEDED, "export")
    if options.output is not None and (options.output / _CARD).exists():
        raise UsageError(f"{options.output} holds a model already; name another folder")
    if len(options.folders) > 1 and options.output is None:
        raise UsageError("the mean of several runs is no run's own: name a folder for it with -o")
    from agelens.training.run_export import (  # noqa: PLC0415 - loads torch
        export_mean,
        export_run,
    )

    form = {"format": options.format, "precision": options.precision}
    if len(options.folders) > 1:
        exported = export_mean(options.folders, options.output, **form)
    else:
        exported = export_run(options.folders[0], output=options.output, **form)
    print(json.dumps(_document(exported)) if options.json else _sentence(exported))
    return 0


def _document(exported: ExportedRun) -> dict[str, Any]:
    return {
        "folder": str(exported.folder),
        "format": exported.format,
        "precision": exported.precision,
        "parity": exported.parity.to_json(),
    }


def _sentence(exported: ExportedRun) -> str:
    parity = exported.parity
    change = ""
    if exported.precision == "int8":
        change = f"; its mean error on them changed by {parity.mae_change_years:+.3f} years"
    return (
        f"wrote {exported.folder}: on {parity.chips:,} validation chips at most "
        f"{parity.largest_years:.4f} years from the trained network (mean "
        f"{parity.mean_years:.4f}){change}"
    )
