"""A search by optuna in place of sweep and grid: tree of Parzen estimators, with pruning."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import product
from math import sqrt
from pathlib import Path
from typing import Any, Final

import numpy as np
import optuna
import pandas as pd
import pytorch_lightning as pl
from optuna.trial import TrialState

from agelens.errors import TrainingError, UsageError
from agelens.progress import Progress, unseen
from agelens.training.age_module import AgeModule
from agelens.training.tuning.space import Space
from agelens.training.tuning.trials import LOST, RunFactory, TrialTable, run_trial, training_of


def grid_rates(best: float) -> list[float]:
    """Learning rates around the sweep's best, half decades apart."""
    return [best / sqrt(10), best, best * sqrt(10)]


def grid_decays(configured: float) -> list[float]:
    """Weight decays: none, and a decade to either side of the configuration's."""
    middle = configured or 1e-3
    return [0.0, middle / 10, middle, middle * 10]


def fill_grid(
    make: RunFactory,
    path: Path,
    rates: Sequence[float],
    decays: Sequence[float],
    *,
    epochs: int = 3,
    progress: Progress = unseen,
) -> pd.DataFrame:
    """Train for some epochs at each rate with each decay.

    Args:
        make: makes the runs.
        path: of the CSV file of the trials.
        rates: learning rates.
        decays: weight decays.
        epochs: of each trial; the run's own schedule goes over so many.
        progress: is told of each trial.

    Returns:
        `lr`, `weight_decay`, and of the best epoch by the run's own selection: `cost` (the
        less the better), `mae_years`, `ca3`, `step`. What blew up has a cost of infinity.
    """
    table = TrialTable(path, ["lr", "weight_decay"])
    for done, (lr, decay) in enumerate(product(rates, decays)):
        progress(done, len(rates) * len(decays))
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


FACTORS: Final = tuple(10 ** (half / 2) for half in range(-4, 5))
"""Rates to try, over the configuration's: a hundredth to a hundred times, half decades apart."""

STEADY: Final[dict[str, Any]] = {
    "schedule": {"class_path": "agelens.training.lr_scheduler.Constant"},
}


def sweep_rates(
    make: RunFactory, path: Path, *, steps: int = 60, progress: Progress = unseen
) -> pd.DataFrame:
    """Train for a few steps at each rate, from the same start and on the same batches.

    Args:
        make: makes the runs.
        path: of the CSV file of the trials.
        steps: of the optimiser, at each rate, which stays constant.
        progress: is told of each rate.

    Returns:
        `lr`, `step` (from 1), `loss` of each step; a trial that blew up ends with infinity.
    """
    table = TrialTable(path, ["lr"])
    for done, factor in enumerate(FACTORS):
        progress(done, len(FACTORS))
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


STUDY: Final = "agelens"
_LOST: Final = "lost"
_DONE: Final = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)


def search(
    make: RunFactory,
    path: Path,
    space: Space,
    *,
    trials: int,
    epochs: int = 5,
    seed: int = 0,
    progress: Progress = unseen,
) -> optuna.Study:
    """Train for some epochs at values that a tree of Parzen estimators proposes.

    Bergstra et al., "Algorithms for Hyper-Parameter Optimization", NeurIPS 2011. A trial that
    is worse than the median of the others at its epoch is given up. Trials are judged by the
    run's own selection on the valid part; the test parts are not touched.

    A search that was killed goes on when it is called again, and proposes what it would have
    proposed: the sampler starts from `seed` and the number of finished trials each time.

    Args:
        make: makes the runs.
        path: of the SQLite file that the study lies in.
        space: what is searched, by dotted key of the configuration.
        trials: how many, those of earlier attempts included.
        epochs: of each trial.
        seed: of the sampler.
        progress: is told of each trial.

    Raises:
        UsageError: the study in `path` searched something else.
    """
    for key in space:
        make.value(key)  # an unknown one is an error before anything is trained
    with _quiet_optuna():
        study = optuna.create_study(
            storage=f"sqlite:///{path}",
            study_name=STUDY,
            load_if_exists=True,
            pruner=optuna.pruners.MedianPruner(n_startup_trials=4, n_warmup_steps=1),
        )
        _settle(study, space)
        for number in range(_finished(study), trials):
            progress(number, trials)
            study.sampler = optuna.samplers.TPESampler(seed=seed * 100_003 + number)
            _try(study, study.ask(), make, space, epochs)
    return study


def best_values(study: optuna.Study) -> dict[str, object]:
    """The best trial's values by key.

    Raises:
        TrainingError: no trial came to its end.
    """
    if not study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,)):
        raise TrainingError("no trial of the search came to its end; look at the loss first")
    return dict(study.best_params)


def trial_table(study: optuna.Study) -> pd.DataFrame:
    """One row a trial: `trial`, `state`, `cost` (of the last epoch it saw), and its values."""
    rows = []
    for trial in study.get_trials(deepcopy=False):
        seen = trial.intermediate_values
        cost = trial.value if trial.value is not None else min(seen.values(), default=None)
        rows.append(
            {
                "trial": trial.number,
                "state": trial.state.name.lower(),
                "cost": cost,
                "epochs": len(seen),
                **trial.params,
            }
        )
    return pd.DataFrame(rows)


class _Pruning(pl.Callback):
    """Reports each epoch's cost, and ends trials that are not worth going on with."""

    def __init__(self, trial: optuna.Trial) -> None:
        self.trial = trial

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Report, and perhaps raise `optuna.TrialPruned`, which is no error."""
        if not isinstance(pl_module, AgeModule):
            raise TypeError(f"trials are of an AgeModule, not of {type(pl_module)}")
        self.trial.report(pl_module.selection.best_cost, trainer.current_epoch)
        if self.trial.should_prune():
            raise optuna.TrialPruned


def _try(
    study: optuna.Study, trial: optuna.Trial, make: RunFactory, space: Space, epochs: int
) -> None:
    values = {key: limits.draw(trial, key) for key, limits in space.items()}
    training = training_of(make, values)
    try:
        trace = run_trial(training, epochs=epochs, callbacks=[_Pruning(trial)])
    except optuna.TrialPruned:
        study.tell(trial, state=TrialState.PRUNED)
        return
    if trace.lost or trace.best is None:
        trial.set_user_attr(_LOST, True)  # it was tried to its end, unlike one that was killed
        study.tell(trial, state=TrialState.FAIL)
        return
    study.tell(trial, training.run.selection.best_cost)


def _finished(study: optuna.Study) -> int:
    """Trials that need not be done again; one that was killed does not count."""
    for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        study.tell(trial.number, state=TrialState.FAIL)
    done = study.get_trials(deepcopy=False, states=_DONE)
    return sum(trial.state != TrialState.FAIL or _LOST in trial.user_attrs for trial in done)


def _settle(study: optuna.Study, space: Space) -> None:
    """A study is of one space."""
    stated = {key: repr(limits) for key, limits in space.items()}
    if study.user_attrs.setdefault("space", stated) != stated:
        raise UsageError(f"the search in this folder is over {study.user_attrs['space']}")
    study.set_user_attr("space", stated)


@contextmanager
def _quiet_optuna() -> Iterator[None]:
    """Optuna's line for each step of a study is not for users of ours."""
    level = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        yield
    finally:
        optuna.logging.set_verbosity(level)
