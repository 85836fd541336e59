"""`agelens page`: the page as static files that estimate in the browser."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from agelens.inference.cards import DEFAULT_MODEL

_WHAT = "write the page as static files that estimate in the browser: no photo leaves it"
_MORE = """
The page needs onnxruntime-web of npm. Fetch it once:
  npm pack onnxruntime-web@1.30.0
  agelens page -o page --runtime onnxruntime-web-1.30.0.tgz
  python -m http.server --directory page
and open http://localhost:8000/. Opened as a file, a page cannot load its parts.
"""


def add_command(commands: Any) -> None:
    """Add the command to the parser's subcommands."""
    parser = commands.add_parser(
        "page",
        help=_WHAT,
        description=_WHAT,
        epilog=_MORE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("-o", "--output", type=Path, required=True, help="a new folder")
    parser.add_argument(
        "--runtime",
        metavar="PATH",
        help="onnxruntime-web: the .tgz of npm pack, or its folder in node_modules; npm fetches it "
        "(default: ./node_modules/onnxruntime-web)",
    )
    parser.add_argument(
        "--model",
        default=DEFAULT_MODEL,
        help="name or card of a model with ONNX weights (default: %(default)s)",
    )
    parser.set_defaults(run=_page)


def _page(options: argparse.Namespace) -> int:
    from agelens.service.on_device import write_page  # noqa: PLC0415 - loads the networks

    card = write_page(options.output, runtime=options.runtime, model=options.model)
    size = sum(file.stat().st_size for file in options.output.rglob("*") if file.is_file())
    print(f"Wrote {options.output} ({size / 1e6:.0f} MB), which estimates by {card.name}.")
    print(f"Its weights: {card.licences['weights']}. Its training data: {card.licences['data']}.")
    print(f"Try it: python -m http.server --directory {options.output}, then")
    print("http://localhost:8000/. Where others shall use it, serve it over HTTPS.")
    return 0
