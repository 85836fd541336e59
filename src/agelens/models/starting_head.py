"""An age head that starts from the one that came with the backbone's packaged weights."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from agelens.ages import AgeScale
from agelens.errors import UsageError
from agelens.models.backbones.base import Backbone


def start_head(head: nn.Module, scale: AgeScale, backbone: Backbone) -> None:
    """Fill `head`, a linear layer over `scale`, from the packaged head of `backbone`.

    Each age takes the weights of the packaged age nearest to it. Where several take the same
    ones, they share its probability: the bias falls by the logarithm of how many they are, so
    that on the packaged scale itself the answers are those of the packaged network.

    Raises:
        UsageError: the backbone has no packaged head, or `head` is no single linear layer
            with one output for each age.
    """
    if backbone.packaged_head is None:
        raise UsageError(
            f"backbone {backbone.name!r} has no packaged age head: start it from packaged "
            "weights that have one, or the head from random numbers"
        )
    if not isinstance(head, nn.Linear) or head.out_features != len(scale):
        raise UsageError(
            "a packaged head is one linear layer with an output for each age, which the head of "
            f"this method ({type(head).__name__}) is not; start it from random numbers"
        )
    weight, bias = backbone.packaged_head
    ages = np.asarray(AgeScale.parse(backbone.packaged_ages).years)
    taken = np.abs(np.asarray(scale.years)[:, None] - ages).argmin(axis=1)
    shared = np.log(np.bincount(taken, minlength=len(ages)))[taken]
    rows = torch.from_numpy(taken)
    with torch.no_grad():
        head.weight.copy_(weight[rows])
        head.bias.copy_(bias[rows] - torch.from_numpy(shared).to(bias.dtype))
