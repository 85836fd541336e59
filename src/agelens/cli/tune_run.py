"""`agelens tune`: a configuration to good values for it, and a run with them."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from agelens.training.configuration import make_run, parse_run, run_parser
from agelens.training.tuning import TuningPlan, parse_space
from agelens.training.tuning import tune as tune_run


def tune(words: Sequence[str]) -> int:
    """Tune, and say what came of each step."""
    options, rest = _parser().parse_known_args(words)
    parser = run_parser("agelens tune")
    run = make_run(parser, parse_run(parser, rest))
    found = tune_run(run.config, options.output, _plan(options), tell=_tell, quiet=options.quiet)
    print(" ".join(f"--{key} {value!r}" for key, value in found.items()))
    return 0


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _plan(options: argparse.Namespace) -> TuningPlan:
    return TuningPlan(
        overfit_samples=options.overfit_samples,
        overfit_steps=options.overfit_steps,
        sweep_steps=options.sweep_steps,
        grid_epochs=options.grid_epochs,
        trials=options.trials if options.search else 0,
        trial_epochs=options.trial_epochs,
        space=parse_space(options.space) if options.space else None,
        long_run=options.long_run,
    )


def _parser() -> argparse.ArgumentParser:
    plan = TuningPlan()
    parser = argparse.ArgumentParser(
        prog="agelens tune",
        usage="agelens tune --config FILE [--KEY VALUE ...] -o FOLDER [options]",
        description="Look at the untrained loss, learn a few samples by heart, sweep learning "
        "rates, fill a grid of rates by weight decays (or search), train with the best; one "
        "report. Called again alike, it goes on where it was stopped. Every option of "
        "`agelens train` works too.",
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("-o", "--output", type=Path, required=True, metavar="FOLDER", help="of report and run")
    add("-q", "--quiet", action="store_true", help="no progress of the long run")
    for name, default, what in (
        ("overfit-samples", plan.overfit_samples, "to learn by heart"),
        ("overfit-steps", plan.overfit_steps, "for that, at each of at most three rates"),
        ("sweep-steps", plan.sweep_steps, "at each of nine learning rates"),
        ("grid-epochs", plan.grid_epochs, "of each of the grid's twelve trials"),
        ("trial-epochs", plan.trial_epochs, "of each trial of a search"),
    ):
        add(f"--{name}", type=int, default=default, metavar="N", help=f"{what} (%(default)s)")
    add("--search", choices=("optuna",), help="search in place of sweep and grid")
    add("--trials", type=int, default=20, metavar="N", help="of the search (%(default)s)")
    add(
        "--space",
        action="append",
        metavar="KEY=LOW:HIGH[:log]",
        help="what the search changes, or KEY=VALUE,VALUE; learning rate and weight decay if "
        "not given",
    )
    add("--no-run", dest="long_run", action="store_false", help="stop before the long run")
    return parser
