"""The numbers of a run: optimisers, the bound, the centres."""

from __future__ import annotations

from dataclasses import dataclass

from agelens.errors import UsageError


@dataclass(frozen=True, slots=True, kw_only=True)
class SGDOptions:
    """Stochastic gradient descent; the defaults are IEFP's.

    Args:
        lr: learning rate before the schedule.
        momentum: of the running sum of gradients.
        weight_decay: L2 penalty of all weights.

    Raises:
        UsageError: a number out of range.
    """

    lr: float = 0.1
    momentum: float = 0.9
    weight_decay: float = 1e-4

    def __post_init__(self) -> None:
        if self.lr <= 0 or not 0 <= self.momentum < 1 or self.weight_decay < 0:
            raise UsageError(
                "SGD needs lr above 0, momentum from 0 to below 1 and no negative decay, got "
                f"lr {self.lr}, momentum {self.momentum}, weight_decay {self.weight_decay}"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class CLUBOptions:
    """How much the bound counts.

    Args:
        bound_weight: of the bound beside the identity loss; 0 leaves it out, with the age
            branch and the likelihood network.
        likelihood_weight: of the likelihood, in the likelihood network's own step.

    Raises:
        UsageError: a negative bound weight, or a likelihood weight of 0 or less.
    """

    bound_weight: float = 0.001
    likelihood_weight: float = 0.1

    def __post_init__(self) -> None:
        if self.bound_weight < 0 or self.likelihood_weight <= 0:
            raise UsageError(
                "the bound's weight is 0 or more and the likelihood's above 0, got "
                f"{self.bound_weight} and {self.likelihood_weight}"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassOptions:
    """The centres of the identities.

    Args:
        sample_rate: share of the centres that a step sees, above 0 to 1 (partial FC).
        sharded: of several processes, each holds its share of the centres, in place of all.
    """

    sample_rate: float = 1.0
    sharded: bool = False
