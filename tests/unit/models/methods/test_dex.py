"""DEX against loops."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from agelens.models.methods.base import AgeTargets
from agelens.models.methods.dex import DEX

Labelled = Callable[..., AgeTargets]


@pytest.mark.parametrize(
    "case",
    [
        ("0-9", [0.0, 9.0, 4.0, 4.4, 4.6], [0, 9, 4, 4, 5]),
        ("0.25,1-9", [0.0, 0.25, 0.5, 0.7, 9.0], [0, 0, 0, 1, 9]),
        ("16-25", [3.0, 16.0, 20.5, 25.0, 99.0], [0, 0, 5, 9, 9]),  # the older of two equals
    ],
)
def test_is_the_cross_entropy_of_the_nearest_class(
    agree: Callable[..., None],
    loop_softmax: Callable[[Tensor], list[Tensor]],
    labelled: Labelled,
    case: tuple[str, list[float], list[int]],
) -> None:
    ages, labels, classes = case

    def loops(z: Tensor) -> Tensor:
        total = torch.zeros((), dtype=torch.float64)
        for i, true in enumerate(classes):
            total = total - loop_softmax(z[i])[true].log()
        return total / len(z)

    z = torch.randn(5, 10, generator=torch.Generator().manual_seed(6))
    agree(lambda z: DEX(ages).loss(z, labelled(labels)), loops, z)


def test_an_untrained_network_costs_log_k(labelled: Labelled) -> None:
    loss = DEX().loss(torch.zeros(3, 101), labelled([1.0, 50.0, 100.0]))
    assert loss.item() == pytest.approx(math.log(101), rel=1e-6)
