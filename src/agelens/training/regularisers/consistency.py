"""Consistency: a face that lies a little differently in its chip gets the same answer."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from agelens.data.training_input.geometry import RandomSimilarity
from agelens.errors import UsageError
from agelens.models.age_model import AgeModel, ModelOutputs
from agelens.training.regularisers.base import Regulariser
from agelens.training.regularisers.distillation import (
    categorical_divergence,
    gaussian_divergence,
)


class Consistency(Regulariser):
    """Zheng et al., "Improving the Robustness of Deep Neural Networks via Stability Training".

    CVPR 2016; both answers learn, as in R-Drop (Liang et al., NeurIPS 2021).

    Landmarks move by a few percent of the eyes' distance when a photo is shrunk or cropped, and
    the chip with them. The term is ``weight / 2 * (KL(p || q) + KL(q || p))`` of the answers for
    chips and for the same chips moved about as far. In a list with `FeatureDistance` it comes
    last, since it asks the model once more.

    Args:
        weight: of the term.
        share: of each batch is moved and seen twice, from 0 to 1; a step costs as much more.
        degrees: turned by up to this either way.
        scale: what is shown is e to the power of +- this times as wide.
        shift: moved by up to this share of the chip's side along each axis.

    Raises:
        UsageError: a negative weight or movement, or a share that is not above 0 and at most 1.
    """

    name: ClassVar[str] = "consistency"

    def __init__(
        self,
        weight: float = 1.0,
        share: float = 0.5,
        degrees: float = 2.0,
        scale: float = 0.04,
        shift: float = 0.015,
    ) -> None:
        if min(weight, degrees, scale, shift) < 0 or not 0 < share <= 1:
            raise UsageError(
                "consistency needs a weight, degrees, scale and shift of at least 0 and a share "
                f"above 0 and at most 1, got {weight}, {degrees}, {scale}, {shift} and {share}"
            )
        self.weight = weight
        self.share = share
        self._move = RandomSimilarity(degrees, scale, shift, padding="reflection")

    def setup(self, model: AgeModel) -> None:
        """Nothing is remembered."""

    def __call__(self, model: AgeModel, images: Tensor, outputs: ModelOutputs, /) -> Tensor:
        """The weighted divergence, averaged over the chips seen twice."""
        several = max(1, round(self.share * len(images)))
        spec, posterior = model.method.spec, model.method.posterior
        first = posterior(outputs.age)[:several]
        moved = self._move.change(images[:several], None)
        if images.is_contiguous(memory_format=torch.channels_last):
            moved = moved.contiguous(memory_format=torch.channels_last)
        second = posterior(model(moved).age)
        if spec.kind == "mean-spread":
            both = gaussian_divergence(first, second) + gaussian_divergence(second, first)
        else:
            both = categorical_divergence(first, second, 1.0)
            both = both + categorical_divergence(second, first, 1.0)
        return self.weight * both / 2
