"""`agelens models` and `agelens detectors`: what there is, whose it is."""

from __future__ import annotations

import argparse
import json
from typing import Any

from agelens.cli.output import print_rows


def add_commands(commands: Any) -> None:
    """Add both commands to the parser's subcommands."""
    for name, help_text, run in (
        ("models", "list the packaged models, or show one card whole", _models),
        ("detectors", "list the face detectors", _detectors),
    ):
        parser = commands.add_parser(name, help=help_text, description=help_text)
        if name == "models":
            parser.add_argument("model", nargs="?", help="a model's name or the path of its card")
        parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
        parser.set_defaults(run=run)


def _models(options: argparse.Namespace) -> int:
    from agelens.inference.cards import DEFAULT_MODEL, MODELS, load_card  # noqa: PLC0415

    if options.model:
        card = load_card(options.model)
        print(json.dumps(dict(card.document), indent=2, ensure_ascii=False))
        return 0
    rows = [
        {
            "name": card.name,
            "task": card.task,
            "default": card.name == DEFAULT_MODEL,
            "summary": card.summary,
            "weights": card.licences["weights"],
            "data": card.licences["data"],
        }
        for card in map(load_card, MODELS)
    ]
    print_rows(rows, as_json=options.json)
    return 0


def _detectors(options: argparse.Namespace) -> int:
    from agelens.imaging.detectors import DETECTORS, detector_class  # noqa: PLC0415

    classes = map(detector_class, DETECTORS)
    rows = [{"name": d.name, "summary": d.summary, "licence": d.licence} for d in classes]
    print_rows(rows, as_json=options.json)
    return 0
