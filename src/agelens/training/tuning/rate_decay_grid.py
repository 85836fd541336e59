"""Step 4: learning rate by weight decay, judged on the valid part."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from math import sqrt
from pathlib import Path

import numpy as np
import pandas as pd

from agelens.errors import TrainingError
from agelens.training.tuning.run_maker import RunMaker
from agelens.training.tuning.trial_table import TrialTable
from agelens.training.tuning.trials import LOST, run_trial, training_of


def grid_rates(best: float) -> list[float]:
    """Learning rates around the sweep's best, half decades apart."""
    return [best / sqrt(10), best, best * sqrt(10)]


def grid_decays(configured: float) -> list[float]:
    """Weight decays: none, and a decade to either side of the configuration's."""
    middle = configured or 1e-3
    return [0.0, middle / 10, middle, middle * 10]


def fill_grid(
    make: RunMaker, path: Path, rates: Sequence[float], decays: Sequence[float], *, epochs: int = 3
) -> pd.DataFrame:
    """Train for some epochs at each rate with each decay.

    Args:
        make: makes the runs.
        path: of the CSV file of the trials.
        rates: learning rates.
        decays: weight decays.
        epochs: of each trial; the run's own schedule goes over so many.

    Returns:
        `lr`, `weight_decay`, and of the best epoch by the run's own selection: `cost` (the
        less the better), `mae_years`, `ca3`, `step`. What blew up has a cost of infinity.
    """
    table = TrialTable(path, ["lr", "weight_decay"])
    for lr, decay in product(rates, decays):
        if not table.has(lr, decay):
            changes = {"optimizer.lr": lr, "optimizer.weight_decay": decay}
            training = training_of(make, changes)
            trace = run_trial(training, epochs=epochs)
            lost = trace.lost or trace.best is None
            best = trace.best or {"valid/mae": LOST, "valid/ca3": 0.0, "step": len(trace.losses)}
            row = {
                "lr": lr,
                "weight_decay": decay,
                "cost": LOST if lost else training.run.selection.best_cost,
                "mae_years": best["valid/mae"],
                "ca3": best["valid/ca3"],
                "step": best["step"],
            }
            table.add([row])
    return table.frame


def best_pair(grid: pd.DataFrame) -> tuple[float, float]:
    """Learning rate and weight decay with the least cost.

    Raises:
        TrainingError: every trial blew up.
    """
    costs = grid["cost"].to_numpy()
    if not np.isfinite(costs).any():
        raise TrainingError("every trial of the grid blew up; take smaller learning rates")
    best = grid.iloc[int(costs.argmin())]
    return float(best["lr"]), float(best["weight_decay"])
