"""DLDL-v2 against loops, and its two stages."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from agelens.models.methods.base import AgeTargets
from agelens.models.methods.dldl import DLDL, DLDLv2

Labelled = Callable[..., AgeTargets]
LABELS = [0.0, 11.0, 5.5, 3.25]


def logits() -> Tensor:
    return torch.randn(4, 12, generator=torch.Generator().manual_seed(8), dtype=torch.float64)


@pytest.mark.parametrize("weight", [1.0, 0.3])
def test_matches_plain_loops(
    agree: Callable[..., None],
    loop_softmax: Callable[[Tensor], list[Tensor]],
    labelled: Labelled,
    weight: float,
) -> None:
    def loops(z: Tensor) -> Tensor:
        total = torch.zeros((), dtype=torch.float64)
        for i, age in enumerate(LABELS):
            density = [math.exp(-((a - age) ** 2) / (2 * 1.5**2)) for a in range(12)]
            mean = torch.zeros((), dtype=torch.float64)
            for a, p in enumerate(loop_softmax(z[i])):
                d = density[a] / math.fsum(density)
                total = total + d * (math.log(d) - p.log())
                mean = mean + a * p
            total = total + weight * (mean - age).abs()
        return total / len(z)

    method = DLDLv2("0-11", sigma=1.5, mean_weight=weight)
    agree(lambda z: method.loss(z, labelled(LABELS)), loops, logits())


def test_the_first_stage_is_dldl(labelled: Labelled) -> None:
    targets = labelled(LABELS, [1.0, None, 2.0, 3.0])
    options = {"sigma": 1.5, "sigma_from_votes": True, "smallest_sigma": 0.2}
    first = DLDLv2("0-11", mean_weight=0.0, **options).loss(logits(), targets)
    assert first == DLDL("0-11", **options).loss(logits(), targets)
    assert DLDLv2("0-11", **options).loss(logits(), targets) > first


def test_a_weight_must_not_be_negative() -> None:
    with pytest.raises(ValueError, match="mean_weight must be at least 0"):
        DLDLv2(mean_weight=-1.0)


def test_the_loss_of_yjl450_is_reached_at_the_ends_of_the_scale() -> None:
    """Its kl_loss and L1_loss, at ages where normalised labels make another loss."""
    outputs = torch.randn(4, 101, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    ages = torch.tensor([0.0, 1.0, 3.0, 100.0], dtype=torch.float64)
    years = torch.arange(101, dtype=torch.float64)
    posterior = outputs.softmax(1)
    density = (-((years - ages[:, None]) ** 2) / 8).exp() / ((2 * torch.pi) ** 0.5 * 2)
    label = density.clamp_min(1e-15)
    divergence = (label * (label.log() - posterior.log())).sum(1).mean()
    wanted = divergence + ((posterior * years).sum(1) - ages).abs().mean()
    targets = AgeTargets(ages, torch.full_like(ages, float("nan")))
    loss = DLDLv2(normalise=False).loss(outputs, targets)
    torch.testing.assert_close(loss, wanted, rtol=1e-6, atol=1e-6)
    assert (DLDLv2().loss(outputs, targets) - loss).abs() > 0.3
