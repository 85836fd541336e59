"""Schedules: the learning rate over a run, as a factor of the optimiser's own.

All but the plateau are functions of the step alone, so that a resumed run has nothing to
restore. Epochs may be fractions; every schedule begins with a linear warm-up, if asked for.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from bisect import bisect_right
from collections.abc import Sequence
from math import ceil
from typing import Any, Final

import pytorch_lightning as pl
import torch
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR, ReduceLROnPlateau

from agelens.errors import UsageError
from agelens.recorded import Recorded


class Schedule(Recorded, ABC):
    """The factor at each point of a run.

    Args:
        warmup_epochs: over which the factor rises in a straight line from `warmup_start`
            to what the schedule says at their end.
        warmup_start: where it starts, as a share of that.

    Raises:
        UsageError: a number out of range.
    """

    def __init__(self, *, warmup_epochs: float = 0.0, warmup_start: float = 0.0) -> None:
        if warmup_epochs < 0 or not 0 <= warmup_start <= 1:
            raise UsageError(
                f"a warm-up lasts 0 or more epochs and starts at a share of 0 to 1, got "
                f"{warmup_epochs} and {warmup_start}"
            )
        self.warmup_epochs = warmup_epochs
        self.warmup_start = warmup_start

    def factor(self, step: int, *, steps_per_epoch: int, steps: int) -> float:
        """The factor of the optimiser's step number `step` (from 0) out of `steps`.

        A warm-up's first step is one past `warmup_start`, so that no step is in vain.
        """
        warmup = round(self.warmup_epochs * steps_per_epoch)
        if step < warmup:
            peak = self.at(warmup / steps_per_epoch, steps / steps_per_epoch)
            share = (step + 1) / (warmup + 1)
            return peak * (self.warmup_start + (1 - self.warmup_start) * share)
        return self.at(step / steps_per_epoch, steps / steps_per_epoch)

    @abstractmethod
    def at(self, epoch: float, epochs: float) -> float:
        """The factor `epoch` epochs into a run of `epochs`, past the warm-up."""


class Constant(Schedule):
    """Always 1."""

    def at(self, epoch: float, epochs: float) -> float:  # noqa: ARG002
        """See `Schedule`."""
        return 1.0


class Step(Schedule):
    """Times `gamma` every `epochs` epochs."""

    def __init__(
        self,
        epochs: int,
        gamma: float = 0.1,
        *,
        warmup_epochs: float = 0.0,
        warmup_start: float = 0.0,
    ) -> None:
        super().__init__(warmup_epochs=warmup_epochs, warmup_start=warmup_start)
        if epochs < 1:
            raise UsageError(f"a step lasts at least 1 epoch, got {epochs}")
        self.epochs = epochs
        self.gamma = gamma

    def at(self, epoch: float, epochs: float) -> float:  # noqa: ARG002
        """See `Schedule`."""
        return float(self.gamma ** (int(epoch + _ROUNDING) // self.epochs))


class MultiStep(Schedule):
    """Times `gamma` at each of the epochs `milestones`."""

    def __init__(
        self,
        milestones: Sequence[int],
        gamma: float = 0.1,
        *,
        warmup_epochs: float = 0.0,
        warmup_start: float = 0.0,
    ) -> None:
        super().__init__(warmup_epochs=warmup_epochs, warmup_start=warmup_start)
        self.milestones = sorted(milestones)
        self.gamma = gamma

    def at(self, epoch: float, epochs: float) -> float:  # noqa: ARG002
        """See `Schedule`."""
        return float(self.gamma ** bisect_right(self.milestones, epoch + _ROUNDING))


class Cosine(Schedule):
    """From 1 after the warm-up down to `final` at the end, along half a cosine."""

    def __init__(
        self, final: float = 0.0, *, warmup_epochs: float = 0.0, warmup_start: float = 0.0
    ) -> None:
        super().__init__(warmup_epochs=warmup_epochs, warmup_start=warmup_start)
        self.final = final

    def at(self, epoch: float, epochs: float) -> float:
        """See `Schedule`."""
        length = max(epochs - self.warmup_epochs, _ROUNDING)
        share = min(1.0, max(0.0, (epoch - self.warmup_epochs) / length))
        return _cosine(1.0, self.final, share)


class OneCycle(Schedule):
    """Up along a cosine for `rise` of the run, then down (Smith and Topin, 2018).

    Starts at 1 over `start_divisor` and ends at that over `end_divisor`; the learning rate
    of the optimiser is the peak.
    """

    def __init__(
        self,
        rise: float = 0.3,
        start_divisor: float = 25.0,
        end_divisor: float = 1e4,
        *,
        warmup_epochs: float = 0.0,
        warmup_start: float = 0.0,
    ) -> None:
        super().__init__(warmup_epochs=warmup_epochs, warmup_start=warmup_start)
        if not 0 < rise < 1:
            raise UsageError(f"one cycle rises for a share of 0 to 1, got {rise}")
        self.rise = rise
        self.start_divisor = start_divisor
        self.end_divisor = end_divisor

    def at(self, epoch: float, epochs: float) -> float:
        """See `Schedule`."""
        share = min(1.0, epoch / epochs)
        start = 1 / self.start_divisor
        if share < self.rise:
            return _cosine(start, 1.0, share / self.rise)
        return _cosine(1.0, start / self.end_divisor, (share - self.rise) / (1 - self.rise))


class Plateau(Schedule):
    """Times `gamma` once `patience` epochs in a row brought no better validation metric.

    "Better" is by more than the share `threshold`; the rule is torch's ReduceLROnPlateau.
    """

    def __init__(
        self,
        gamma: float = 0.1,
        patience: int = 10,
        threshold: float = 1e-4,
        *,
        warmup_epochs: float = 0.0,
        warmup_start: float = 0.0,
    ) -> None:
        super().__init__(warmup_epochs=warmup_epochs, warmup_start=warmup_start)
        # Torch's rule moves an optimiser's rate: here that of one weight that nobody has.
        self._rate = torch.optim.SGD([torch.zeros(())], lr=1.0)
        self._rule = ReduceLROnPlateau(
            self._rate, factor=gamma, patience=patience, threshold=threshold
        )

    def at(self, epoch: float, epochs: float) -> float:  # noqa: ARG002
        """See `Schedule`."""
        return float(self._rate.param_groups[0]["lr"])

    def observe(self, value: float) -> None:
        """An epoch was validated; smaller is better."""
        self._rule.step(value)

    def state_dict(self) -> dict[str, Any]:
        """Plain numbers."""
        return {"rate": self.at(0, 0), "rule": self._rule.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up what `state_dict` gave."""
        self._rule.load_state_dict(state["rule"])
        self._rate.param_groups[0]["lr"] = state["rate"]


SCHEDULES: Final[dict[str, str]] = {
    "constant": "agelens.training.lr_scheduler:Constant",
    "step": "agelens.training.lr_scheduler:Step",
    "multi-step": "agelens.training.lr_scheduler:MultiStep",
    "cosine": "agelens.training.lr_scheduler:Cosine",
    "one-cycle": "agelens.training.lr_scheduler:OneCycle",
    "plateau": "agelens.training.lr_scheduler:Plateau",
}

_ROUNDING: Final = 1e-9


def _cosine(start: float, end: float, share: float) -> float:
    return end + (start - end) * (1 + math.cos(math.pi * share)) / 2


def lr_scheduler(
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
