"""`agelens identity train`: a configuration to a run of one stage, or a run resumed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from jsonargparse import ArgumentParser

from agelens.cli.run_words import INTERRUPTED, run_or_resume, run_words
from agelens.recognition.training.configuration import (
    GROUPS,
    identity_parser,
    make_identity_run,
)
from agelens.recognition.training.train import train_identity
from agelens.training.configuration import config_text, parse_run
from agelens.training.run_folder import RunFolder

_COMMAND: Final = "agelens identity train"


def train(words: Sequence[str]) -> int:
    """Train, and say what came of it."""
    parser = identity_parser()
    options = run_words(words, _COMMAND, lambda: _print_help(parser))
    config = parse_run(parser, options.rest)
    text = config_text(config, GROUPS)
    if options.print_config:
        print(text, end="")
        return 0
    run = make_identity_run(parser, config)
    folder = options.folder(_COMMAND)
    summary = run_or_resume(
        options, folder, text, lambda: train_identity(run, folder, quiet=options.quiet)
    )
    if summary is None:
        return INTERRUPTED
    if summary:
        _tell(summary, folder)
        if options.export and run.stage == "identity":
            _export(folder)
    return 0


def _export(folder: RunFolder) -> None:
    from agelens.recognition.training.identity_bundle import export_identity_run  # noqa: PLC0415 - takes seconds

    print(f"agelens identity embed --model {export_identity_run(folder)} uses it")


def _tell(summary: dict[str, Any], folder: RunFolder) -> None:
    left_out = ", ".join(f"{count:,} left out: {why}" for why, count in summary["left_out"].items())
    people = f" of {summary['identities']:,} people" if summary["identities"] else ""
    print(f"{summary['pictures']:,} pictures{people}" + (f"; {left_out}" if left_out else ""))
    print(f"{summary['epochs']} epochs in {summary['seconds']:.0f} s; wrote {folder.path}")
    if summary["stage"] == "age":
        print(f"--stage identity --age_branch.weights {folder.weights} goes on from it")


def _print_help(parser: ArgumentParser) -> None:
    print(
        "usage: agelens identity train --config FILE [--KEY VALUE ...] [-o RUN]\n"
        "       agelens identity train --resume RUN\n\n"
        "  -o, --output RUN   folder of the run; by default one below runs/, named after the file\n"
        "  --resume RUN       go on with a run that was interrupted, from its last checkpoint\n"
        "  --print-config     print the whole configuration and stop\n"
        "  --no-export        leave out ONNX file and card for agelens identity embed --model\n"
        "  -q, --quiet        print nothing while training\n"
    )
    parser.print_help()
