"""Which epoch is the best, and when to stop looking for a better one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Literal

from agelens.errors import UnknownNameError, UsageError
from agelens.recorded import Recorded

Metric = Literal["mae", "ca3"]
_SIGNS: Final = {"mae": 1.0, "ca3": -1.0}


class Selection(Recorded):
    """The best epoch by a validation metric.

    Args:
        metric: ``mae`` in years, the smaller the better; or ``ca3``, the share of errors of
            at most 3 years, the larger the better (as MegaAge is judged).
        patience: stop after so many epochs in a row without a better one; never if None.
        gain: an epoch is better if it is by more than this.

    Raises:
        UnknownNameError: another metric.
        UsageError: a patience below 1 or a gain below 0.
    """

    def __init__(
        self, metric: Metric = "mae", *, patience: int | None = None, gain: float = 0.0
    ) -> None:
        if metric not in _SIGNS:
            raise UnknownNameError("metric to select by", metric, _SIGNS)
        if (patience is not None and patience < 1) or gain < 0:
            raise UsageError(
                f"patience is 1 epoch or more and gain at least 0, got {patience}, {gain}"
            )
        self.metric = metric
        self.patience = patience
        self.gain = gain
        self.best_cost = float("inf")
        self.best_epoch = -1

    def cost(self, metrics: Mapping[str, float]) -> float:
        """The metric with the sign that makes less better."""
        return _SIGNS[self.metric] * metrics[self.metric]

    def observe(self, epoch: int, metrics: Mapping[str, float]) -> bool:
        """Whether `epoch` is the best so far."""
        cost = self.cost(metrics)
        better = cost < self.best_cost - self.gain
        if better:
            self.best_cost, self.best_epoch = cost, epoch
        return better

    def is_over(self, epoch: int) -> bool:
        """Whether patience has run out with `epoch`."""
        return self.patience is not None and epoch - self.best_epoch >= self.patience

    def state_dict(self) -> dict[str, Any]:
        """Plain numbers."""
        return {"best_cost": self.best_cost, "best_epoch": self.best_epoch}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take up what `state_dict` gave."""
        self.best_cost, self.best_epoch = state["best_cost"], state["best_epoch"]
