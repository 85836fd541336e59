"""Step 2: can the network learn a few samples by heart?"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import pandas as pd

from agelens.training.tuning.few_samples import FewSamples, FewSamplesData
from agelens.training.tuning.run_maker import RunMaker
from agelens.training.tuning.trial_table import TrialTable
from agelens.training.tuning.trials import LOST, run_trial, training_of

ENOUGH_YEARS: Final = 1.0
"""An error on the samples themselves below which they count as learnt."""

RATES: Final = (1.0, 3.0, 0.3)
"""Learning rates to try, over the configuration's, until one is enough."""

UNHINDERED: Final[dict[str, Any]] = {
    "schedule": {"class_path": "agelens.training.schedules.Constant"},
    "selection.patience": None,
    "optimizer.weight_decay": 0.0,
    "regularisers": [],
    "callbacks": [],
}
"""Changes that take away what keeps a network from learning by heart."""

_STEPS_A_LOOK: Final = 20


def overfit(make: RunMaker, path: Path, *, samples: int = 32, steps: int = 300) -> pd.DataFrame:
    """Train on `samples` alone, at one rate after the other until they are learnt.

    Args:
        make: makes the runs.
        path: of the CSV file of the trials.
        samples: of the train part, spread over the ages.
        steps: of the optimiser, at each rate.

    Returns:
        `lr`, `step`, `loss`, `mae_years` on the samples themselves, every 20 steps.
    """
    table = TrialTable(path, ["lr"])
    for factor in RATES:
        lr = make.value("optimizer.lr") * factor
        if not table.has(lr):
            table.add(_curve(make, lr, samples, steps))
        if table.rows(lr)["mae_years"].min() <= ENOUGH_YEARS:
            break
    return table.frame


def _curve(make: RunMaker, lr: float, samples: int, steps: int) -> list[dict[str, float]]:
    training = training_of(make, {**UNHINDERED, "optimizer.lr": lr})
    few = FewSamplesData(FewSamples(training.run.data, samples), _STEPS_A_LOOK)
    trace = run_trial(training, epochs=max(1, steps // _STEPS_A_LOOK), data=few)
    rows = [
        {"step": look["step"], "loss": look["train/loss"], "mae_years": look["valid/mae"]}
        for look in trace.looks
    ]
    if trace.lost:
        rows.append({"step": len(trace.losses), "loss": LOST, "mae_years": LOST})
    return [{"lr": lr, **row} for row in rows]
