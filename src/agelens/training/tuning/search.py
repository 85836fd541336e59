"""Trials at several values of a configuration: a sweep of rates, a grid, or a search by optuna."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import product
from math import isfinite, sqrt
from pathlib import Path
from typing import Any, Final

import numpy as np
import optuna
import pandas as pd
import pytorch_lightning as pl
from optuna.distributions import FloatDistribution
from optuna.trial import TrialState

from agelens.errors import TrainingError, UsageError
from agelens.progress import Progress, unseen
from agelens.training.age_module import AgeModule
from agelens.training.tuning.space import Space
from agelens.training.tuning.trials import LOST, RunFactory, run_trial, training_of

LR, DECAY = "optimizer.lr", "optimizer.weight_decay"
_LOST: Final = "lost"
_CURVE: Final = "curve"
_MAE: Final = "mae_years"
_DONE: Final = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)


class Study:
    """The trials of one step, in a file, so that a tuning that was killed goes on with them.

    Args:
        path: of the SQLite file, which may hold several.
        name: of the step.
        pruner: gives up trials that are not worth going on with; none by default.
        seed: of what proposes values.
    """

    def __init__(
        self,
        path: Path,
        name: str,
        *,
        pruner: optuna.pruners.BasePruner | None = None,
        seed: int = 0,
    ) -> None:
        self.seed = seed
        with _quiet_optuna():
            self.study = optuna.create_study(
                storage=f"sqlite:///{path}",
                study_name=name,
                load_if_exists=True,
                pruner=pruner or optuna.pruners.NopPruner(),
            )

    def run(
        self,
        spaces: Sequence[Space],
        attempt: Callable[[optuna.Trial], float],
        *,
        progress: Progress = unseen,
        enough: float = -LOST,
    ) -> None:
        """Try values from each of `spaces` in turn, those that earlier attempts have done aside.

        What is proposed hangs on the seed and the number of finished trials alone, so that it
        is the same after a stop.

        Args:
            spaces: one a trial, by dotted key of the configuration.
            attempt: the cost of a trial; infinite where it blew up.
            progress: is told of each trial.
            enough: a cost at which no further trial is needed.
        """
        for number in range(self._finished(), len(spaces)):
            if self.finite and self.study.best_value <= enough:
                return
            progress(number, len(spaces))
            self.study.sampler = optuna.samplers.TPESampler(seed=self.seed * 100_003 + number)
            trial = self.study.ask(dict(spaces[number]))
            try:
                cost = attempt(trial)
            except optuna.TrialPruned:
                self.study.tell(trial, state=TrialState.PRUNED)
                continue
            if isfinite(cost):
                self.study.tell(trial, cost)
            else:
                trial.set_user_attr(_LOST, True)  # tried to its end, unlike one that was killed
                self.study.tell(trial, state=TrialState.FAIL)

    @property
    def finite(self) -> bool:
        """Whether a trial came to its end with a cost."""
        return bool(self.study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,)))

    @property
    def best(self) -> dict[str, Any]:
        """The values of the trial with the least cost, by key.

        Raises:
            TrainingError: none came to its end.
        """
        if not self.finite:
            raise TrainingError(
                f"no trial of the {self.study.study_name} came to its end: look at the loss of the "
                "untrained network, and take smaller learning rates"
            )
        return dict(self.study.best_params)

    def table(self) -> pd.DataFrame:
        """One row a trial: `trial`, `state`, `cost` (of the last epoch it saw), and its values.

        `mae_years` is that of the epoch by which it was judged. What blew up has infinity.
        """
        rows = []
        for trial in self._trials():
            seen = trial.intermediate_values
            lost = LOST if _LOST in trial.user_attrs else None
            cost = trial.value if trial.value is not None else min(seen.values(), default=lost)
            row = {"trial": trial.number, "state": trial.state.name.lower(), "cost": cost}
            rows.append(
                {
                    **row,
                    "mae_years": trial.user_attrs.get(_MAE, lost),
                    "epochs": len(seen),
                    **trial.params,
                }
            )
        return pd.DataFrame(rows)

    def curves(self, column: str) -> pd.DataFrame:
        """`lr`, `step` and `column`: the points that each trial left by `keep_curve`."""
        return pd.DataFrame(
            [
                {"lr": trial.params[LR], "step": step, column: value}
                for trial in self._trials()
                for step, value in trial.user_attrs.get(_CURVE, ())
            ]
        )

    def _trials(self) -> list[optuna.trial.FrozenTrial]:
        return self.study.get_trials(deepcopy=False)

    def _finished(self) -> int:
        """Trials that need not be done again; one that was killed does not count."""
        for trial in self.study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            self.study.tell(trial.number, state=TrialState.FAIL)
        done = self.study.get_trials(deepcopy=False, states=_DONE)
        return sum(one.state != TrialState.FAIL or _LOST in one.user_attrs for one in done)


def keep_curve(trial: optuna.Trial, points: Sequence[tuple[int, float]]) -> None:
    """Keep (step, value) with a trial."""
    trial.set_user_attr(_CURVE, [list(point) for point in points])


FACTORS: Final = tuple(10 ** (half / 2) for half in range(-4, 5))
"""Rates to try, over the configuration's: a hundredth to a hundred times, half decades apart."""

STEADY: Final[dict[str, Any]] = {
    "schedule": {"class_path": "agelens.training.optimizers.Constant"},
}


def at_rates(rates: Sequence[float]) -> list[Space]:
    """A space for each learning rate, of that rate alone."""
    return [{LR: FloatDistribution(lr, lr)} for lr in rates]


def sweep_rates(
    make: RunFactory, path: Path, *, steps: int = 60, progress: Progress = unseen
) -> pd.DataFrame:
    """Train for a few steps at each rate, from the same start and on the same batches.

    Args:
        make: makes the runs.
        path: of the file that the study lies in.
        steps: of the optimiser, at each rate, which stays constant.
        progress: is told of each rate.

    Returns:
        `lr`, `step` (from 1), `loss` of each step; a trial that blew up ends with infinity.
    """
    study = Study(path, "sweep")

    def attempt(trial: optuna.Trial) -> float:
        training = training_of(make, {**STEADY, **trial.params})
        trace = run_trial(training, steps=steps, validate=False)
        losses = [*trace.losses[: -1 if trace.lost else None], *([LOST] if trace.lost else [])]
        keep_curve(trial, list(enumerate(losses, 1)))
        return losses[-1]

    study.run(at_rates([make.value(LR) * one for one in FACTORS]), attempt, progress=progress)
    return study.curves("loss")


def end_losses(sweep: pd.DataFrame) -> pd.Series:
    """The mean loss of the last quarter of the steps, by `lr`; infinite where it blew up."""
    longest = sweep["step"].max()
    ends = {
        lr: rows.loc[rows["step"] > longest * 3 / 4, "loss"].mean()
        if np.isfinite(rows["loss"]).all()
        else LOST
        for lr, rows in sweep.groupby("lr")
    }
    return pd.Series(ends, name="loss").rename_axis("lr")


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
) -> Study:
    """Train for some epochs at each rate with each decay, judged as those of `search`.

    Args:
        make: makes the runs.
        path: of the file that the study lies in.
        rates: learning rates.
        decays: weight decays.
        epochs: of each trial; the run's own schedule goes over so many.
        progress: is told of each trial.
    """
    cells: list[Space] = [
        {LR: FloatDistribution(lr, lr), DECAY: FloatDistribution(decay, decay)}
        for lr, decay in product(rates, decays)
    ]
    study = Study(path, "grid")
    study.run(cells, lambda trial: _cost(trial, make, epochs), progress=progress)
    return study


def search(
    make: RunFactory,
    path: Path,
    space: Space,
    *,
    trials: int,
    epochs: int = 5,
    seed: int = 0,
    progress: Progress = unseen,
) -> Study:
    """Train for some epochs at values that a tree of Parzen estimators proposes.

    Bergstra et al., "Algorithms for Hyper-Parameter Optimization", NeurIPS 2011. A trial that
    is worse than the median of the others at its epoch is given up. Trials are judged by the
    run's own selection on the valid part; the test parts are not touched.

    Args:
        make: makes the runs.
        path: of the file that the study lies in.
        space: what is searched, by dotted key of the configuration.
        trials: how many, those of earlier attempts included.
        epochs: of each trial.
        seed: of the sampler.
        progress: is told of each trial.

    Raises:
        UsageError: the study in `path` searched something else, or an unknown key.
    """
    for key in space:
        make.value(key)  # an unknown one is an error before anything is trained
    pruner = optuna.pruners.MedianPruner(n_startup_trials=4, n_warmup_steps=1)
    study = Study(path, "search", pruner=pruner, seed=seed)
    stated = {key: repr(limits) for key, limits in space.items()}
    there = study.study.user_attrs.get("space", stated)
    if there != stated:
        raise UsageError(f"the search in this folder is over {there}")
    study.study.set_user_attr("space", stated)
    study.run([space] * trials, lambda trial: _cost(trial, make, epochs), progress=progress)
    return study


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


def _cost(trial: optuna.Trial, make: RunFactory, epochs: int) -> float:
    """That of the best epoch, by the run's own selection."""
    training = training_of(make, trial.params)
    trace = run_trial(training, epochs=epochs, callbacks=[_Pruning(trial)])
    if trace.lost or trace.best is None:
        return LOST
    trial.set_user_attr(_MAE, trace.best["valid/mae"])
    return training.run.selection.best_cost


@contextmanager
def _quiet_optuna() -> Iterator[None]:
    """Optuna's line for each study that is made is not for users of ours."""
    level = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        yield
    finally:
        optuna.logging.set_verbosity(level)
