"""Optimisers: torch's own, with smaller steps for early stages and decay where it belongs."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, Final

import torch
from torch import nn
from torch.optim import Optimizer

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
