"""`agelens train`: a configuration to a run, or a run resumed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from jsonargparse import ArgumentParser

from agelens.cli.run_words import INTERRUPTED, run_or_resume, run_words
from agelens.training.configuration import config_text, make_run, parse_run, run_parser
from agelens.training.run_folder import RunFolder
from agelens.training.training_loop import train as train_run


def train(words: Sequence[str]) -> int:
    """Train, and say what came of it."""
    parser = run_parser()
    options = run_words(words, "agelens train", lambda: _print_help(parser))
    config = parse_run(parser, options.rest)
    if options.print_config:
        print(config_text(config), end="")
        return 0
    run = make_run(parser, config)
    folder = options.folder("agelens train")
    summary = run_or_resume(
        options, folder, config_text(config), lambda: train_run(run, folder, quiet=options.quiet)
    )
    if summary is None:
        return INTERRUPTED
    if summary:
        _tell(summary, folder)
        if options.export:
            _export(folder)
    return 0


def _export(folder: RunFolder) -> None:
    from agelens.training.run_export import export_run  # noqa: PLC0415 - takes seconds to load

    exported = export_run(folder.path)
    print(f"agelens estimate --model {exported.folder} uses it")


def _print_help(parser: ArgumentParser) -> None:
    print(
        "usage: agelens train --config FILE [--KEY VALUE ...] [-o RUN]\n"
        "       agelens train --resume RUN\n\n"
        "  -o, --output RUN   folder of the run; by default one below runs/, named after the file\n"
        "  --resume RUN       go on with a run that was interrupted, from its last checkpoint\n"
        "  --print-config     print the whole configuration and stop\n"
        "  --no-export        leave out the bundle for agelens estimate --model\n"
        "  -q, --quiet        print nothing while training\n"
    )
    parser.print_help()


def _tell(summary: dict[str, Any], folder: RunFolder) -> None:
    for part, figures in summary["metrics"].items():
        print(
            f"{part}: MAE {figures['mae']:.3f} years, CS@5 {100 * figures['cs5']:.1f} %, "
            f"bias {figures['bias']:+.2f}, {figures['samples']:,} samples"
        )
    share = summary["model_time_share"]
    told = f", {100 * share:.0f} % of it in the model" if share is not None else ""
    print(f"{summary['epochs']} epochs in {summary['seconds']:.0f} s{told}; wrote {folder.path}")
