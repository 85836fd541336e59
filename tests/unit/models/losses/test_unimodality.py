"""The unimodal term against loops, and on posteriors whose cost is plain to see."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from agelens.models.losses import gaussian_labels
from agelens.models.methods.unimodal import unimodality


def cost(posterior: list[float], true: int) -> float:
    return unimodality(torch.tensor([posterior], dtype=torch.float64), torch.tensor([true])).item()


def test_matches_plain_loops(
    agree: Callable[..., None], loop_softmax: Callable[[Tensor], list[Tensor]]
) -> None:
    z = torch.randn(5, 9, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
    classes = torch.tensor([0, 8, 3, 4, 7])

    def loops(z: Tensor) -> Tensor:
        total = torch.zeros((), dtype=torch.float64)
        for i, true in enumerate(classes.tolist()):
            p = loop_softmax(z[i])
            for j in range(true):  # must rise to the true class
                total = total + (p[j] - p[j + 1]).clamp(min=0)
            for j in range(true, 8):  # must fall from it
                total = total + (p[j + 1] - p[j]).clamp(min=0)
        return total / len(z)

    agree(lambda z: unimodality(z.softmax(dim=1), classes), loops, z)


@pytest.mark.parametrize(
    ("posterior", "true", "expected"),
    [
        ([0.1, 0.2, 0.4, 0.2, 0.1], 2, 0.0),
        ([0.2, 0.2, 0.2, 0.2, 0.2], 3, 0.0),  # flat
        ([0.1, 0.2, 0.3, 0.4, 0.0], 2, 0.1),  # the step out of the true class rises
        ([0.1, 0.4, 0.3, 0.2, 0.0], 2, 0.1),  # the step into it falls
        ([0.0, 0.0, 0.0, 0.0, 1.0], 0, 1.0),
        ([1.0, 0.0, 0.0, 0.0, 0.0], 4, 1.0),
        ([0.5, 0.0, 0.5, 0.0, 0.0], 2, 0.5),
    ],
)
def test_counts_each_wrong_step(posterior: list[float], true: int, expected: float) -> None:
    assert cost(posterior, true) == pytest.approx(expected, abs=1e-12)


@given(st.integers(0, 60), st.floats(0.5, 10))
def test_a_single_peak_at_the_true_class_is_free(true: int, sigma: float) -> None:
    years = torch.arange(61, dtype=torch.float64)
    age = torch.tensor([float(true)], dtype=torch.float64)
    peak = gaussian_labels(age, torch.full_like(age, sigma), years)
    assert unimodality(peak, torch.tensor([true])).item() == pytest.approx(0, abs=1e-12)
    if true < 60:
        assert unimodality(peak, torch.tensor([true + 1])).item() > 0
