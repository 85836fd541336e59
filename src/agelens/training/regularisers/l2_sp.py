"""L2-SP: weights are pulled toward where they started (Li et al., ICML 2018)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor

from agelens.errors import UsageError
from agelens.models.age_model import AgeModel, ModelOutputs
from agelens.training.optimizers import lies_under
from agelens.training.regularisers.base import Regulariser


class L2SP(Regulariser):
    """Li, Grandvalet and Davoine, "Explicit Inductive Bias for Transfer Learning", ICML 2018.

    ``alpha / 2 * |w - w0|^2`` over pretrained weights, whose start is w0, plus
    ``beta / 2 * |v|^2`` over new ones. It takes the place of weight decay, which pulls all
    of them toward zero: set that to 0. Frozen weights are left out. With one pretrained
    weight at 3 that started at 1, and alpha 0.1, the term is 0.2.

    Args:
        alpha: on pretrained weights; the paper's best lie between 0.01 and 0.1.
        beta: on new weights; the paper takes 0.01.
        pretrained: prefixes of the names of the weights that are pretrained. Add ``head``
            where the head starts from trained weights too.

    Raises:
        UsageError: a factor is negative, or (in `setup`) a prefix names no weight.
    """

    name: ClassVar[str] = "l2-sp"

    def __init__(
        self, alpha: float = 0.1, beta: float = 0.01, pretrained: Sequence[str] = ("backbone",)
    ) -> None:
        if alpha < 0 or beta < 0:
            raise UsageError(f"L2-SP factors must be at least 0, got alpha {alpha}, beta {beta}")
        self.alpha = alpha
        self.beta = beta
        self.pretrained = tuple(pretrained)
        self._start: dict[str, Tensor] = {}

    def setup(self, model: AgeModel) -> None:
        """Copy the pretrained weights."""
        names = [name for name, _ in model.named_parameters()]
        for prefix in self.pretrained:
            if not any(lies_under(name, prefix) for name in names):
                tops = sorted({name.partition(".")[0] for name in names})
                raise UsageError(
                    f"L2-SP: no weight lies under {prefix!r}; the model has {', '.join(tops)}"
                )
        self._start = {
            name: weight.detach().clone()
            for name, weight in model.named_parameters()
            if any(lies_under(name, prefix) for prefix in self.pretrained)
        }

    def __call__(self, model: AgeModel, images: Tensor, _: ModelOutputs, /) -> Tensor:
        """The term; what the model answers does not matter to it."""
        moved, new = [], []
        for name, weight in model.named_parameters():
            if not weight.requires_grad:
                continue
            if name in self._start:
                moved.append((weight - self._start_of(name, weight)).square().sum())
            else:
                new.append(weight.square().sum())
        return self.alpha / 2 * _total(moved, images) + self.beta / 2 * _total(new, images)

    def _start_of(self, name: str, weight: Tensor) -> Tensor:
        """The start on the weight's device, moved there once."""
        start = self._start[name]
        if start.device != weight.device:
            start = self._start[name] = start.to(weight.device)
        return start


def _total(terms: Sequence[Tensor], like: Tensor) -> Tensor:
    return torch.stack(list(terms)).sum() if terms else torch.zeros((), device=like.device)
