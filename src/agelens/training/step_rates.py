"""A schedule as torch's scheduler, a rate for each step of the optimiser."""

from __future__ import annotations

from math import ceil
from typing import Any

import pytorch_lightning as pl
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from agelens.training.schedules import Schedule


def step_rates(
    optimizer: Optimizer, schedule: Schedule, *, steps_per_epoch: int, epochs: int
) -> LambdaLR:
    """The scheduler that gives each step the optimiser's rates times the schedule's factor."""
    steps = steps_per_epoch * epochs

    def factor(step: int) -> float:
        return schedule.factor(step, steps_per_epoch=steps_per_epoch, steps=steps)

    return LambdaLR(optimizer, factor)


def refresh_rates(scheduler: Any) -> None:
    """Let the next step have the rate that the schedule says now, not what it said before."""
    if not isinstance(scheduler, LambdaLR):
        raise TypeError(f"expected the one scheduler that was configured, got {scheduler}")
    for group, base, factor in zip(
        scheduler.optimizer.param_groups, scheduler.base_lrs, scheduler.lr_lambdas, strict=True
    ):
        group["lr"] = base * factor(scheduler.last_epoch)


def steps_per_epoch(trainer: pl.Trainer) -> int:
    """Steps of the optimiser an epoch.

    Lightning's own estimate would open the loader before a checkpoint's place in it is
    restored, and that place would be lost.
    """
    data = getattr(trainer, "datamodule", None)
    if not isinstance(data, pl.LightningDataModule):
        raise TypeError("an AgeModule is trained with a data module")
    batches, limit = len(data.train_dataloader()), trainer.limit_train_batches
    batches = min(batches, limit) if isinstance(limit, int) else int(batches * limit)
    return max(1, ceil(batches / trainer.accumulate_grad_batches))
