"""`agelens identity embed`: options; the work is loaded on demand."""

from __future__ import annotations

import argparse
from importlib import import_module
from pathlib import Path
from typing import Any, Final

from agelens.cli.extras import require

NEEDED: Final = ("face_recognition_models", "pandas")


def add_embed(subparsers: Any) -> None:
    """Add `embed` to the group's subcommands."""
    parser = subparsers.add_parser(
        "embed",
        help="embed faces into a table",
        description="Embed the faces of a table, a chip store or photos into one Parquet file, "
        "labels beside vectors. A photo without a face, or with several, is a row that says so.",
    )
    add_sources(parser)
    add_model(parser)
    parser.add_argument(
        "--crops",
        default="single",
        choices=("single", "concatenated", "added"),
        help="also look at the mirror image, and put both vectors beside or upon each other "
        "(single)",
    )
    parser.add_argument(
        "--face",
        choices=("refuse", "largest"),
        help="of a photo with several faces: refuse it, or take the largest (refuse; with --table "
        "the labelled one, or else a large and central one)",
    )
    parser.add_argument("--detector", default="retinaface", help="for photos (retinaface)")
    parser.add_argument("--workers", type=int, metavar="N", help="threads (all available cores)")
    parser.add_argument(
        "-o", "--output", type=Path, required=True, metavar="E", help="E.parquet, a new file"
    )
    parser.set_defaults(run=_run)


def add_sources(parser: argparse.ArgumentParser) -> None:
    """What to embed: photos, or a table, or a store."""
    parser.add_argument("photos", nargs="*", metavar="PHOTO", help="photos and folders of them")
    parser.add_argument("--recursive", action="store_true", help="also folders below folders")
    parser.add_argument("--table", type=Path, metavar="TABLE", help="a table of agelens data read")
    parser.add_argument("--root", type=Path, metavar="ROOT", help="where the table's photos are")
    parser.add_argument("--store", type=Path, metavar="STORE", help="of agelens data prepare")


def add_model(parser: argparse.ArgumentParser) -> None:
    """Which network embeds."""
    parser.add_argument(
        "--model",
        default="dlib-resnet29",
        help="a name, a card, or a folder with card and weights (dlib-resnet29)",
    )


def add_face_choice(parser: argparse.ArgumentParser) -> None:
    """Which face of a photo with several."""
    parser.add_argument(
        "--face",
        default="refuse",
        choices=("refuse", "largest"),
        help="of a photo with several faces: refuse it, or take the largest (refuse)",
    )


def _run(options: argparse.Namespace) -> int:
    require(NEEDED, "identity embed", "identity")
    return int(import_module("agelens.cli.identity_embed_run").run(options))
