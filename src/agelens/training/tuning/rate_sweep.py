"""Step 3: at which learning rates does the loss fall, and fastest?"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd

from agelens.errors import TrainingError
from agelens.training.tuning.run_maker import RunMaker
from agelens.training.tuning.trial_table import TrialTable
from agelens.training.tuning.trials import LOST, run_trial, training_of

FACTORS: Final = tuple(10 ** (half / 2) for half in range(-4, 5))
"""Rates to try, over the configuration's: a hundredth to a hundred times, half decades apart."""

STEADY: Final[dict[str, Any]] = {
    "schedule": {"class_path": "agelens.training.schedules.Constant"},
}


def sweep_rates(make: RunMaker, path: Path, *, steps: int = 60) -> pd.DataFrame:
    """Train for a few steps at each rate, from the same start and on the same batches.

    Args:
        make: makes the runs.
        path: of the CSV file of the trials.
        steps: of the optimiser, at each rate, which stays constant.

    Returns:
        `lr`, `step` (from 1), `loss` of each step; a trial that blew up ends with infinity.
    """
    table = TrialTable(path, ["lr"])
    for factor in FACTORS:
        lr = make.value("optimizer.lr") * factor
        if not table.has(lr):
            training = training_of(make, {**STEADY, "optimizer.lr": lr})
            trace = run_trial(training, steps=steps, validate=False)
            losses = [*trace.losses[: -1 if trace.lost else None], *([LOST] if trace.lost else [])]
            rows = [{"lr": lr, "step": at, "loss": loss} for at, loss in enumerate(losses, 1)]
            table.add(rows)
    return table.frame


def end_losses(sweep: pd.DataFrame) -> pd.Series:
    """The mean loss of the last quarter of the steps, by `lr`; infinite where it blew up."""
    longest = sweep["step"].max()
    end = sweep[sweep["step"] > longest * 3 / 4]
    losses = end.groupby("lr")["loss"].mean()
    lost = sweep[~np.isfinite(sweep["loss"])]["lr"].unique()
    losses = losses.reindex(sweep["lr"].unique(), fill_value=LOST)
    losses[lost] = LOST
    return pd.Series(losses).sort_index()


def best_rate(sweep: pd.DataFrame) -> float:
    """The rate with the least loss at the end.

    Raises:
        TrainingError: every rate blew up.
    """
    losses = end_losses(sweep)
    if not np.isfinite(losses).any():
        raise TrainingError(
            "the loss was lost at every learning rate of the sweep: look at the loss of the "
            "untrained network, and take smaller rates"
        )
    return float(losses.index[int(losses.to_numpy().argmin())])
