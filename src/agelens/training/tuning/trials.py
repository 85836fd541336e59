"""A short training run that is judged and thrown away."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

import pytorch_lightning as pl
from torch import Tensor

from agelens.errors import TrainingError
from agelens.training.age_module import AgeModule
from agelens.training.lightning_noise import quiet_lightning
from agelens.training.run_folder import RunFolder
from agelens.training.seeding import SeededSteps
from agelens.training.train import Training
from agelens.training.tuning.run_maker import RunMaker

LOST: Final = math.inf
"""The loss and the error of a trial that ended in numbers that are none."""


class Trace(pl.Callback):
    """What a trial went through; it ends where its loss is not finite, before that does harm.

    `losses` are those of each step, `looks` the module's metrics after each epoch with the
    `step`, `best` the look that the run's own selection would keep. `lost` says that a number
    was none.
    """

    def __init__(self) -> None:
        self.losses: list[float] = []
        self.looks: list[dict[str, float]] = []
        self.best: dict[str, float] | None = None
        self.lost = False

    def on_before_backward(
        self, trainer: pl.Trainer, _pl_module: pl.LightningModule, loss: Tensor
    ) -> None:
        """Note the loss."""
        value = float(loss.detach()) * trainer.accumulate_grad_batches
        self.losses.append(value)
        if not math.isfinite(value):
            raise TrainingError("the loss of this trial is not finite")

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Note the validation."""
        if not isinstance(pl_module, AgeModule):
            raise TypeError(f"trials are of an AgeModule, not of {type(pl_module)}")
        if "valid/mae" in pl_module.metrics:
            look = {"step": trainer.global_step, **pl_module.metrics}
            self.looks.append(look)
            self.best = look if pl_module.improved else self.best


def training_of(make: RunMaker, changes: Mapping[str, Any]) -> Training:
    """Data and model of the run with `changes`, in a folder that nothing is written to.

    The store's hashes were checked by whoever made the first of many trials.
    """
    run = make({"data.verify": False, **changes})
    return Training(run, RunFolder(Path("no-run-folder")), quiet=True)


def run_trial(
    training: Training,
    *,
    epochs: int | None = None,
    steps: int | None = None,
    data: pl.LightningDataModule | None = None,
    validate: bool = True,
    callbacks: Iterable[pl.Callback] = (),
) -> Trace:
    """Train `training.module` without leaving anything on the disk.

    A trial whose loss is no number any more just ends; its trace says so. The test parts
    are not touched.

    Args:
        training: whose module and data are used.
        epochs: to train for; or
        steps: of the optimiser.
        data: in place of the run's own.
        validate: after each epoch.
        callbacks: beside those of the run.
    """
    trace = Trace()
    run = training.run
    ours = [SeededSteps(run.seed), trace, *run.callbacks, *callbacks]
    with quiet_lightning():
        trainer = pl.Trainer(**{**run.trainer, **_limits(epochs, steps, validate)}, callbacks=ours)
        try:
            trainer.fit(training.module, datamodule=data or run.data)
        except TrainingError:
            trace.lost = True
    return trace


def _limits(epochs: int | None, steps: int | None, validate: bool) -> dict[str, Any]:
    """Arguments of a trainer that trains for so long and writes nothing."""
    return {
        "max_epochs": epochs or steps,  # an epoch has at least one step
        "max_steps": -1 if steps is None else steps,
        "limit_val_batches": 1.0 if validate else 0,
        "num_sanity_val_steps": 0,
        "use_distributed_sampler": False,
        "logger": False,
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
    }
