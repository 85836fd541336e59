"""SGD that moves, of the class weights, only those that a step has seen."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

from agelens.recognition.margins.class_weights import ClassWeights


class SampledSGD(torch.optim.SGD):
    """Torch's SGD with momentum; centres that were not drawn rest, momentum and decay too.

    So An et al. (CVPR 2022) have it. Torch's own would drive them on: their gradient of 0 is
    not the absence of one.

    Args:
        groups: as torch's optimisers take them; one has `classes.weight`.
        classes: where all centres are seen, this is torch's SGD.
        lr: learning rate of groups without their own.
        momentum: of the running sum of gradients.
    """

    def __init__(
        self,
        groups: Iterable[dict[str, Any]],
        classes: ClassWeights,
        *,
        lr: float,
        momentum: float = 0.9,
    ) -> None:
        super().__init__(groups, lr=lr, momentum=momentum)
        self._classes = classes

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """See torch's SGD."""
        weight, rows = self._classes.weight, self._classes.rows
        if rows is None or weight.grad is None:
            whole: float | None = super().step(closure)
            return whole
        gradient, weight.grad = weight.grad, None
        loss: float | None = super().step(closure)
        weight.grad = gradient
        self._move(weight, rows, gradient[rows])
        return loss

    def _move(self, weight: Tensor, rows: Tensor, gradient: Tensor) -> None:
        group = next(one for one in self.param_groups if any(weight is p for p in one["params"]))
        state = self.state[weight]
        if state.get("momentum_buffer") is None:
            state["momentum_buffer"] = torch.zeros_like(weight)
        buffer = state["momentum_buffer"]
        kept = weight[rows]
        buffer[rows] = group["momentum"] * buffer[rows] + gradient + group["weight_decay"] * kept
        weight[rows] = kept - group["lr"] * buffer[rows]
