"""Optimisers, with smaller steps for early stages, and schedules of their learning rates.

A schedule is the learning rate over a run as a factor of the optimiser's own. All but the plateau
are functions of the step alone, so that a resumed run has nothing to restore. Epochs may be
fractions; every schedule begins with a linear warm-up, if asked for.
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
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR, ReduceLROnPlateau

from agelens.errors import UsageError
from agelens.models.age_model import AgeModel
from agelens.recorded import Recorded


def lies_under(name: str, prefix: str) -> bool:
    """Whether the weight or module `name` is, or lies in, the module `prefix`.

    With or without its closing dot: ``a.1`` and ``a.1.`` hold ``a.1.b``, neither ``a.10.b``.
    """
    return f"{name}.".startswith(f"{prefix.removesuffix('.')}.")


Group = dict[str, Any]


class OptimizerChoice(Recorded, ABC):
    """An optimiser to be made once there is a model.

    Args:
        lr: learning rate of the heads, and of the backbone where `stage_factors` is 1.
        weight_decay: L2 penalty (SGD, Adam) or decoupled decay (AdamW).
        decay_all: also decay biases and scales (weights of one axis); not by default, since
            they do not overfit and decay only moves them off.
        stage_factors: learning rate of the backbone's stages over `lr`: one for each stage
            from the input up, or one number f, by which each stage learns slower than the
            one above it, the last one slower than the heads.

    Raises:
        UsageError: a number below 0.
    """

    def __init__(
        self,
        lr: float,
        *,
        weight_decay: float = 0.0,
        decay_all: bool = False,
        stage_factors: float | Sequence[float] = 1.0,
    ) -> None:
        factors = [stage_factors] if isinstance(stage_factors, int | float) else stage_factors
        if lr <= 0 or weight_decay < 0 or min(factors, default=0) < 0:
            raise UsageError(
                f"an optimiser needs lr above 0 and no negative decay or factor, got lr {lr}, "
                f"weight_decay {weight_decay}, stage_factors {stage_factors}"
            )
        self.lr = lr
        self.weight_decay = weight_decay
        self.decay_all = decay_all
        self.stage_factors = stage_factors

    def __call__(self, model: AgeModel) -> Optimizer:
        """The optimiser of all weights of `model`, frozen ones too, that may be let go.

        Raises:
            UsageError: not as many `stage_factors` as the backbone has stages.
        """
        return self.make(self.groups(model))

    @abstractmethod
    def make(self, groups: list[Group]) -> Optimizer:
        """Torch's optimiser of groups with `params`, `lr` and `weight_decay`."""

    def groups(self, model: AgeModel) -> list[Group]:
        """Weights by learning rate and decay; none that is empty."""
        factors = self._factors(model)
        groups: dict[tuple[float, float], list[nn.Parameter]] = {}
        for name, weight in model.named_parameters():
            decay = self.weight_decay if self.decay_all or weight.ndim > 1 else 0.0
            lr = self.lr * _factor(name, factors)
            groups.setdefault((lr, decay), []).append(weight)
        return [
            {"params": weights, "lr": lr, "weight_decay": decay}
            for (lr, decay), weights in groups.items()
        ]

    def _factors(self, model: AgeModel) -> list[tuple[str, float]]:
        """The factor under each prefix of a stage."""
        stages = model.backbone.stages
        factors = self.stage_factors
        if isinstance(factors, int | float):
            factors = [factors ** (len(stages) - place) for place in range(len(stages))]
        if len(factors) != len(stages):
            raise UsageError(
                f"the backbone has {len(stages)} stages ({'; '.join(map(', '.join, stages))}), "
                f"stage_factors has {len(factors)}"
            )
        return [
            (f"backbone.{prefix}", factor)
            for stage, factor in zip(stages, factors, strict=True)
            for prefix in stage
        ]


class SGD(OptimizerChoice):
    """Stochastic gradient descent.

    Args:
        lr: see `OptimizerChoice`, as are the others below it.
        momentum: of the running mean of gradients.
        nesterov: Nesterov's form of it.
        weight_decay: see `OptimizerChoice`.
        decay_all: see `OptimizerChoice`.
        stage_factors: see `OptimizerChoice`.
    """

    def __init__(
        self,
        lr: float,
        *,
        momentum: float = 0.9,
        nesterov: bool = False,
        weight_decay: float = 0.0,
        decay_all: bool = False,
        stage_factors: float | Sequence[float] = 1.0,
    ) -> None:
        super().__init__(
            lr, weight_decay=weight_decay, decay_all=decay_all, stage_factors=stage_factors
        )
        self.momentum = momentum
        self.nesterov = nesterov

    def make(self, groups: list[Group]) -> Optimizer:
        """See `OptimizerChoice`."""
        return torch.optim.SGD(groups, self.lr, momentum=self.momentum, nesterov=self.nesterov)


class Adam(OptimizerChoice):
    """Adam (Kingma and Ba, ICLR 2015).

    Args:
        lr: see `OptimizerChoice`, as are the others below it.
        betas: of the running means of gradients and of their squares.
        eps: added to the root.
        weight_decay: see `OptimizerChoice`.
        decay_all: see `OptimizerChoice`.
        stage_factors: see `OptimizerChoice`.
    """

    optimizer: type[Optimizer] = torch.optim.Adam

    def __init__(
        self,
        lr: float,
        *,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        decay_all: bool = False,
        stage_factors: float | Sequence[float] = 1.0,
    ) -> None:
        super().__init__(
            lr, weight_decay=weight_decay, decay_all=decay_all, stage_factors=stage_factors
        )
        self.betas = betas
        self.eps = eps

    def make(self, groups: list[Group]) -> Optimizer:
        """See `OptimizerChoice`."""
        options: dict[str, Any] = {"lr": self.lr, "betas": tuple(self.betas), "eps": self.eps}
        return self.optimizer(groups, **options)


class AdamW(Adam):
    """Adam with decoupled weight decay (Loshchilov and Hutter, ICLR 2019); see `Adam`."""

    optimizer = torch.optim.AdamW


OPTIMIZERS: Final[dict[str, str]] = {
    "sgd": "agelens.training.optimizers:SGD",
    "adam": "agelens.training.optimizers:Adam",
    "adamw": "agelens.training.optimizers:AdamW",
}


def _factor(name: str, factors: Sequence[tuple[str, float]]) -> float:
    return next((factor for prefix, factor in factors if lies_under(name, prefix)), 1.0)


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
    "constant": "agelens.training.optimizers:Constant",
    "step": "agelens.training.optimizers:Step",
    "multi-step": "agelens.training.optimizers:MultiStep",
    "cosine": "agelens.training.optimizers:Cosine",
    "one-cycle": "agelens.training.optimizers:OneCycle",
    "plateau": "agelens.training.optimizers:Plateau",
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
