"""References for losses: plain loops over scalars, compared in value and in gradient."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import pytest
import torch
from torch import Tensor

from agelens.models.methods.base import AgeTargets

Loss: TypeAlias = Callable[[Tensor], Tensor]


@pytest.fixture(scope="session")
def agree() -> Callable[[Loss, Loss, Tensor], None]:
    """Checks that two losses of float64 inputs have one value and one gradient, to 1e-6."""
    return _agree


def _agree(ours: Loss, reference: Loss, inputs: Tensor) -> None:
    results = []
    for loss in (ours, reference):
        leaf = inputs.detach().clone().double().requires_grad_()
        value = loss(leaf)
        assert value.shape == ()
        (gradient,) = torch.autograd.grad(value, leaf)
        results.append((value.detach(), gradient))
    torch.testing.assert_close(results[0][0], results[1][0], rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(results[0][1], results[1][1], rtol=1e-6, atol=1e-6)
    assert results[1][1].abs().max() > 0, "a gradient of zero would prove nothing"


@pytest.fixture(scope="session")
def loop_softmax() -> Callable[[Tensor], list[Tensor]]:
    """Softmax of one row, scalar by scalar."""
    return _loop_softmax


def _loop_softmax(row: Tensor) -> list[Tensor]:
    exponentials = [row[j].exp() for j in range(len(row))]
    total = exponentials[0]
    for exponential in exponentials[1:]:
        total = total + exponential
    return [exponential / total for exponential in exponentials]


@pytest.fixture(scope="session")
def labelled() -> Callable[..., AgeTargets]:
    """Targets of ages, and of standard deviations where they are given (None is unknown)."""
    return _labelled


def _labelled(ages: list[float], stds: list[float | None] | None = None) -> AgeTargets:
    known = [float("nan") if std is None else std for std in stds or [None] * len(ages)]
    return AgeTargets(torch.tensor(ages), torch.tensor(known))
