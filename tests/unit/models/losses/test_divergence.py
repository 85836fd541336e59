"""KL divergence against loops, and against cross entropy."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from agelens.models.losses import kl_divergence


def labels_with_zeros() -> Tensor:
    labels = torch.rand(4, 7, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    labels[0, 2:] = 0
    labels[1, :] = 0
    labels[1, 3] = 1
    return labels / labels.sum(dim=1, keepdim=True)


def logits() -> Tensor:
    return torch.randn(4, 7, generator=torch.Generator().manual_seed(2), dtype=torch.float64)


def test_matches_plain_loops(
    agree: Callable[..., None], loop_softmax: Callable[[Tensor], list[Tensor]]
) -> None:
    labels = labels_with_zeros()

    def loops(z: Tensor) -> Tensor:
        total = torch.zeros((), dtype=torch.float64)
        for i in range(len(z)):
            for d, p in zip(labels[i], loop_softmax(z[i]), strict=True):
                if d > 0:
                    total = total + d * (d.log() - p.log())
        return total / len(z)

    agree(lambda z: kl_divergence(labels, z.log_softmax(dim=1)), loops, logits())


def test_is_cross_entropy_less_the_entropy_of_the_labels() -> None:
    labels, z = labels_with_zeros(), logits()
    entropy = torch.special.entr(labels).sum(dim=1).mean()
    torch.testing.assert_close(
        kl_divergence(labels, z.log_softmax(dim=1)), functional.cross_entropy(z, labels) - entropy
    )


def test_a_perfect_fit_costs_nothing_and_its_gradient_is_zero() -> None:
    z = logits().requires_grad_()
    loss = kl_divergence(z.detach().softmax(dim=1), z.log_softmax(dim=1))
    loss.backward()
    assert loss.item() == pytest.approx(0, abs=1e-12)
    assert z.grad is not None
    assert z.grad.abs().max() < 1e-12
