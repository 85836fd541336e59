"""Unimodal-concentrated loss against loops."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from agelens.models.methods.base import AgeTargets
from agelens.models.methods.unimodal import UnimodalConcentrated

Labelled = Callable[..., AgeTargets]
YEARS = [0.25, *map(float, range(1, 12))]
LABELS, CLASSES = [0.25, 11.0, 5.5, 3.25], [0, 11, 6, 3]


def logits() -> Tensor:
    return torch.randn(4, 12, generator=torch.Generator().manual_seed(11), dtype=torch.float64)


@pytest.mark.parametrize(("weight", "eps"), [(1000.0, 1e-2), (10.0, 1e-10), (0.0, 0.5)])
def test_matches_plain_loops(
    agree: Callable[..., None],
    loop_softmax: Callable[[Tensor], list[Tensor]],
    labelled: Labelled,
    weight: float,
    eps: float,
) -> None:
    def loops(z: Tensor) -> Tensor:
        total = torch.zeros((), dtype=torch.float64)
        for i, (age, true) in enumerate(zip(LABELS, CLASSES, strict=True)):
            p = loop_softmax(z[i])
            mean = sum(a * q for a, q in zip(YEARS, p, strict=True))
            variance = sum((a - mean) ** 2 * q for a, q in zip(YEARS, p, strict=True)) + eps
            total = total + variance.log() / 2 + (mean - age) ** 2 / (2 * variance)
            for j in range(11):
                step = p[j + 1] - p[j]
                total = total + weight * (step if j >= true else -step).clamp(min=0)
        return total / len(z)

    method = UnimodalConcentrated("0.25,1-11", unimodal_weight=weight, eps=eps)
    agree(lambda z: method.loss(z, labelled(LABELS)), loops, logits())


@pytest.mark.parametrize("eps", [1e-10, 1e-2])
def test_sure_and_wrong_is_finite(labelled: Labelled, eps: float) -> None:
    z = torch.full((1, 12), -1e4)
    z[0, 0] = 1e4
    z.requires_grad_()
    loss = UnimodalConcentrated("0-11", eps=eps).loss(z, labelled([10.0]))
    loss.backward()
    assert loss.isfinite()
    assert loss > 50 / eps * 0.99
    assert z.grad is not None
    assert z.grad.isfinite().all()


@pytest.mark.parametrize(
    ("option", "value"), [("eps", 0.0), ("eps", -1.0), ("unimodal_weight", -1.0)]
)
def test_impossible_options_are_refused(option: str, value: float) -> None:
    with pytest.raises(ValueError, match=option):
        UnimodalConcentrated(**{option: value})
