"""Mean-variance loss against loops, and its halves."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from agelens.models.methods.base import AgeTargets
from agelens.models.methods.dex import DEX
from agelens.models.methods.mean_variance import MeanVariance

Labelled = Callable[..., AgeTargets]
CASES = {
    "0-11": ([float(a) for a in range(12)], [0.0, 11.0, 5.0, 3.25], [0, 11, 5, 3]),
    "0.25,1-11": ([0.25, *map(float, range(1, 12))], [0.25, 11.0, 5.5, 0.75], [0, 11, 6, 1]),
}


def logits() -> Tensor:
    return torch.randn(4, 12, generator=torch.Generator().manual_seed(9), dtype=torch.float64)


@pytest.mark.parametrize("ages", CASES)
@pytest.mark.parametrize("weights", [(0.2, 0.05), (0.7, 0.3)])
def test_matches_plain_loops(
    agree: Callable[..., None],
    loop_softmax: Callable[[Tensor], list[Tensor]],
    labelled: Labelled,
    ages: str,
    weights: tuple[float, float],
) -> None:
    years, labels, classes = CASES[ages]

    def loops(z: Tensor) -> Tensor:
        total = torch.zeros((), dtype=torch.float64)
        for i, (age, true) in enumerate(zip(labels, classes, strict=True)):
            posterior = loop_softmax(z[i])
            mean = sum(a * p for a, p in zip(years, posterior, strict=True))
            variance = sum((a - mean) ** 2 * p for a, p in zip(years, posterior, strict=True))
            total = total - posterior[true].log()
            total = total + weights[0] * (mean - age) ** 2 / 2 + weights[1] * variance
        return total / len(z)

    method = MeanVariance(ages, mean_weight=weights[0], variance_weight=weights[1])
    agree(lambda z: method.loss(z, labelled(labels)), loops, logits())


def test_the_half_stands_on_the_mean_term_only(labelled: Labelled) -> None:
    """Mass one half at 2 and at 6: mean 4, variance 4; the label is 6, so the error is 2."""
    z = torch.full((1, 12), -1e4, dtype=torch.float64)
    z[0, [2, 6]] = 0.0
    targets = labelled([6.0])
    entropy = DEX("0-11").loss(z, targets).item()
    mean_only = MeanVariance("0-11", mean_weight=1.0, variance_weight=0.0).loss(z, targets)
    variance_only = MeanVariance("0-11", mean_weight=0.0, variance_weight=1.0).loss(z, targets)
    assert mean_only.item() - entropy == pytest.approx(2.0)
    assert variance_only.item() - entropy == pytest.approx(4.0)


@pytest.mark.parametrize("option", ["mean_weight", "variance_weight"])
def test_weights_must_not_be_negative(option: str) -> None:
    with pytest.raises(ValueError, match=f"{option} must be at least 0"):
        MeanVariance(**{option: -0.1})
