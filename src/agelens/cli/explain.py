"""`agelens explain`: its options. What it does is in `explain_run` and `explain_by_age`."""

from __future__ import annotations

import argparse
from importlib import import_module
from pathlib import Path
from typing import Any, Final

from agelens.cli.extras import require
from agelens.errors import UsageError

CAM_METHODS: Final = ("grad-cam", "hires-cam", "grad-cam++", "layer-cam")
METHODS: Final = ("occlusion", *CAM_METHODS, "integrated-gradients")


def add_command(commands: Any) -> None:
    """Add `explain` to the parser's subcommands."""
    parser = commands.add_parser(
        "explain",
        help="draw which places of a face an estimate hangs on",
        description="Draw which places of a face make it look older or younger to a model. Any "
        "model by occlusion; a run of agelens train by its gradients as well. Without -o nothing "
        "is kept: the numbers are printed.",
        epilog="A heat map says where a number comes from, not whether it is right, and it is no "
        "test of fairness.",
    )
    parser.set_defaults(run=_run)
    _add_faces(parser)
    _add_method(parser)
    _add_labelled(parser)
    parser.add_argument("-o", "--output", type=Path, metavar="DIR", help="a new folder")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")


def _add_faces(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("photos", nargs="*", metavar="PHOTO", help="photos, folders or patterns")
    parser.add_argument("-r", "--recursive", action="store_true", help="walk into sub-folders")
    parser.add_argument(
        "--face", type=int, default=0, metavar="N", help="which face, 0 is the largest (0)"
    )
    parser.add_argument(
        "--model", default="cc0-resnet10", help="a name, a card, or a run folder (cc0-resnet10)"
    )
    parser.add_argument("--detector", default="retinaface", help="face detector (retinaface)")
    parser.add_argument("--workers", type=int, metavar="N", help="threads (all available cores)")


def _add_method(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("method")
    group.add_argument(
        "--method", choices=METHODS, default="occlusion", help="all but the first need a run folder"
    )
    group.add_argument(
        "--patch", type=int, metavar="PIXELS", help="of the chip (an eighth of its side)"
    )
    group.add_argument(
        "--stride", type=int, metavar="PIXELS", help="of occlusion (half the patch; by age, all)"
    )
    group.add_argument(
        "--fill",
        help="what hides a place: mean colour (occlusion) or blur (integrated-gradients)",
    )
    group.add_argument("--steps", type=int, metavar="N", help="of integrated gradients (32)")
    group.add_argument("--layer", metavar="NAME", help="of the Grad-CAM family (the last)")
    group.add_argument(
        "--sanity-check",
        action="store_true",
        help="compare with maps of the same network with shuffled weights",
    )
    group.add_argument("--seed", type=int, default=0, help="of what is drawn at random (0)")


def _add_labelled(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("mean maps by age, of labelled faces")
    group.add_argument("--by-age", action="store_true", help="instead of single photos")
    group.add_argument("--store", type=Path, metavar="STORE", help="of agelens data prepare")
    group.add_argument("--table", type=Path, metavar="TABLE", help="labelled photos")
    group.add_argument("--root", type=Path, metavar="ROOT", help="where the table's photos are")
    group.add_argument("--split", help="a protocol, `column`, or a folder of agelens data split")
    group.add_argument("--split-seed", type=int, default=0, metavar="N", help="of the protocol")
    group.add_argument("--fold", help="which split, where there are several")
    group.add_argument("--part", help="only this part, such as test")
    group.add_argument(
        "--per-band", type=int, default=40, metavar="N", help="faces of each ten years (40)"
    )


def _run(options: argparse.Namespace) -> int:
    _check(options)
    needed = ["scipy"] if options.sanity_check else []
    if options.output is not None or options.by_age:
        needed += ["pandas", "matplotlib", "scipy", "fairlearn"]
    if options.method != "occlusion":
        needed += ["torch", "timm", "captum", "pytorch_lightning", "jsonargparse"]
    require(needed, "explain")
    work = "explain_by_age" if options.by_age else "explain_run"
    return int(import_module(f"agelens.cli.{work}").run(options))


def _check(options: argparse.Namespace) -> None:
    """Options that do not belong together, before anything is loaded."""
    if options.by_age == bool(options.photos):
        raise UsageError("name photos, or --by-age with --store STORE or --table TABLE --root ROOT")
    labelled = {"--store": options.store, "--table": options.table, "--root": options.root}
    given = [name for name, value in labelled.items() if value is not None]
    if options.by_age and given not in (["--store"], ["--table", "--root"]):
        raise UsageError("--by-age takes --store STORE, or --table TABLE with --root ROOT")
    if not options.by_age and given:
        raise UsageError(f"{given[0]} is for --by-age")
    if options.by_age and options.sanity_check:
        raise UsageError("--sanity-check takes a few photos; name them without --by-age")
    if options.by_age and options.per_band < 1:
        raise UsageError(f"--per-band takes 1 face or more, got {options.per_band}")
    belongs = {
        "--stride": (options.stride, ("occlusion",)),
        "--fill": (options.fill, ("occlusion", "integrated-gradients")),
        "--steps": (options.steps, ("integrated-gradients",)),
        "--layer": (options.layer, CAM_METHODS),
    }
    for name, (value, methods) in belongs.items():
        if value is not None and options.method not in methods:
            raise UsageError(f"{name} is of {', '.join(methods)}, not of {options.method}")
