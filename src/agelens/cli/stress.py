"""`agelens stress`: options; the work is loaded on demand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from agelens.cli.evaluation import add_model, add_store, on_demand, words
from agelens.cli.evaluation_options import add_bootstrap, add_split


def add_command(commands: Any) -> None:
    """Add the command to the parser's subcommands."""
    parser = commands.add_parser(
        "stress",
        help="damage photos, and measure how far estimates move",
        description="Blur, noise, JPEG, brightness, contrast, resolution, occlusion, rotation and "
        "crop margin in five severities each, and other detectors: how far estimates move, how "
        "errors grow, and whose face is not found any more.",
    )
    add_model(parser)
    source = parser.add_argument_group("labelled faces: photos, or the chips of a store")
    source.add_argument("--data", type=Path, metavar="TABLE", help="labelled photos")
    source.add_argument("--root", type=Path, metavar="ROOT", help="where the table's photos are")
    add_store(source)
    add_split(source)
    source.add_argument(
        "--limit", type=int, metavar="N", help="this many of them, drawn at random (all)"
    )
    parser.add_argument(
        "--corruptions",
        type=words,
        metavar="A,B",
        help="blur, noise, jpeg, brightness, contrast, resolution, occlusion, rotation, margin, "
        "detector (all; for a store those that can be done to chips)",
    )
    parser.add_argument(
        "--reference",
        metavar="MODEL|DIR",
        help="a model to measure beside it, or the folder of its stress test on the same faces",
    )
    parser.add_argument("--detector", default="retinaface", help="for photos (retinaface)")
    parser.add_argument("--workers", type=int, metavar="N", help="threads (all available cores)")
    parser.add_argument(
        "-o", "--output", required=True, type=Path, metavar="DIR", help="a new folder"
    )
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument(
        "--allow-mixed-age-kinds",
        action="store_true",
        help="measure real, apparent and estimated ages together",
    )
    add_bootstrap(parser)
    parser.set_defaults(run=on_demand("stress"))
