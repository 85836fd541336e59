"""SORD against dlordinal's and loops."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from dlordinal.losses import SORDLoss
from torch import Tensor

from agelens.errors import UnknownNameError
from agelens.models.losses import (
    AbsoluteDistance,
    AgeDistance,
    DistanceName,
    SquaredDistance,
)
from agelens.models.methods.base import AgeTargets
from agelens.models.methods.sord import SORD

Labelled = Callable[..., AgeTargets]


def logits() -> Tensor:
    return torch.randn(4, 12, generator=torch.Generator().manual_seed(10), dtype=torch.float64)


@pytest.mark.parametrize("alpha", [1.0, 0.4])
def test_is_the_loss_of_dlordinal_less_the_entropy_of_the_labels(
    agree: Callable[..., None], labelled: Labelled, alpha: float
) -> None:
    classes = torch.tensor([0, 11, 5, 3])
    theirs = SORDLoss(alpha=alpha, num_classes=12, train_targets=classes)
    distances = (torch.arange(12) - classes[:, None]).abs().double()
    entropy = torch.special.entr((-alpha * distances).softmax(dim=1)).sum(dim=1).mean()
    method = SORD("0-11", distance=AbsoluteDistance(alpha))
    agree(
        lambda z: method.loss(z, labelled([0.0, 11.0, 5.0, 3.0])) + entropy,
        lambda z: theirs(z, classes),
        logits(),
    )


@pytest.mark.parametrize(
    ("distance", "phi"),
    [
        ("absolute", abs),
        ("squared", lambda gap: gap**2),
        (AbsoluteDistance(0.5), lambda gap: 0.5 * abs(gap)),
        (SquaredDistance(0.125), lambda gap: gap**2 / 8),
    ],
)
def test_matches_plain_loops(
    agree: Callable[..., None],
    loop_softmax: Callable[[Tensor], list[Tensor]],
    labelled: Labelled,
    distance: DistanceName | AgeDistance,
    phi: Callable[[float], float],
) -> None:
    years, labels = [0.25, *map(float, range(1, 12))], [0.25, 11.0, 5.5, 3.25]

    def loops(z: Tensor) -> Tensor:
        total = torch.zeros((), dtype=torch.float64)
        for i, age in enumerate(labels):
            weights = [math.exp(-phi(a - age)) for a in years]
            for weight, p in zip(weights, loop_softmax(z[i]), strict=True):
                d = weight / math.fsum(weights)
                total = total + d * (math.log(d) - p.log())
        return total / len(z)

    method = SORD("0.25,1-11", distance=distance)
    agree(lambda z: method.loss(z, labelled(labels)), loops, logits())


def test_a_distance_of_ones_own_composes(labelled: Labelled) -> None:
    class Ratio(AgeDistance):
        def __call__(self, first_years: Tensor, second_years: Tensor) -> Tensor:
            return 10 * ((first_years + 1).log() - (second_years + 1).log()).abs()

    loss = SORD("0-11", distance=Ratio()).loss(logits(), labelled([0.0, 11.0, 5.5, 3.25]))
    assert loss.isfinite()
    assert loss > 0


def test_an_unknown_distance_lists_the_valid_ones() -> None:
    with pytest.raises(UnknownNameError, match="absolute, squared"):
        SORD(distance="cubic")
