"""`agelens identity test`: options. What it does is in `identity_test_run`, loaded on demand."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from agelens.cli.extras import require

_NEEDED: Final = ("pandas", "scipy", "matplotlib")
_PROTOCOLS: Final = """protocols:
  leave-one-out   FG-NET: each picture is searched for among all others; rank-1
  megaface        FG-NET as MegaFace does it: each two pictures of a person, all others between
                  them as distractors; rank-1 to rank-10
  probe-gallery   MORPH II, 3,000 or 10,000 people: --embeddings searched for in --gallery; rank-1
  verification    LFW, CALFW or any list of --pairs in folds: accuracy, AUC, EER
  cacd-vs         CACD-VS, whose pairs follow from its file names; --pairs is not needed

None of these figures makes a face a proof of identity: the page says what they are not for.
"""


def add_test(commands: Any) -> None:
    """Add `test` to the subcommands of `agelens identity`."""
    parser = commands.add_parser(
        "test",
        help="measure embeddings by a published protocol",
        description="Measure embeddings by a published protocol of face recognition across age.",
        epilog=_PROTOCOLS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("protocol", metavar="PROTOCOL", help="see below")
    parser.add_argument(
        "--embeddings",
        type=Path,
        required=True,
        metavar="TABLE",
        help="a table of `agelens identity embed`: pictures, or probes",
    )
    parser.add_argument(
        "--gallery", type=Path, metavar="TABLE", help="pictures to search (probe-gallery)"
    )
    parser.add_argument(
        "--pairs",
        type=Path,
        metavar="FILE",
        help="pairs: LFW's pairs.txt, CALFW's list, or lines of `a.jpg b.jpg 1` (verification)",
    )
    _add_measuring(parser)
    parser.add_argument("-o", "--output", type=Path, metavar="DIR", help="a new folder")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.set_defaults(run=_on_demand())


def _add_measuring(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--iefp-thresholds",
        action="store_true",
        help="thresholds of -1 to 1 in steps of 0.01, as IEFP's figures, not every one there is",
    )
    parser.add_argument("--draws", type=int, default=1000, help="of the bootstrap by person (1000)")
    parser.add_argument("--level", type=float, default=0.95, help="of the intervals (0.95)")
    parser.add_argument("--seed", type=int, default=0, help="of the draws")


def _on_demand() -> Callable[[argparse.Namespace], int]:
    def run(options: argparse.Namespace) -> int:
        require(_NEEDED, "identity test", "identity")
        from agelens.cli import identity_test_run  # noqa: PLC0415 - loads pandas and matplotlib

        return identity_test_run.run(options)

    return run
