"""Ages as two neighbouring bins."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from agelens.models.losses import kl_divergence
from agelens.models.methods.c3ae import focal_bin_loss, two_point

Agree = Callable[[Callable[[Tensor], Tensor], Callable[[Tensor], Tensor], Tensor], None]
AGES = torch.tensor([32.0, 40.0, 0.0, 7.5], dtype=torch.float64)


def logits() -> Tensor:
    return torch.randn(4, 6, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def test_age_32_lies_between_30_and_40() -> None:
    weights = two_point(torch.tensor([32.0]), 12, 10)[0]
    assert weights[3].item() == pytest.approx(0.8)
    assert weights[4].item() == pytest.approx(0.2)
    assert weights.count_nonzero() == 2


@given(st.floats(0, 110), st.sampled_from([5.0, 10.0, 11.0]))
def test_the_mean_of_the_bins_is_the_age(age: float, bin_years: float) -> None:
    weights = two_point(torch.tensor([age], dtype=torch.float64), 23, bin_years)[0]
    assert weights.sum().item() == pytest.approx(1)
    assert (weights @ (bin_years * torch.arange(23.0).double())).item() == pytest.approx(age)


def test_ages_outside_take_the_end_bin() -> None:
    assert two_point(torch.tensor([-3.0, 130.0]), 12, 10).argmax(1).tolist() == [0, 11]
    assert two_point(torch.tensor([-3.0, 130.0]), 12, 10).max(1).values.tolist() == [1, 1]


def loop_targets() -> list[list[float]]:
    rows = []
    for age in AGES.tolist():
        row = [0.0] * 6
        low, rest = int(age // 10), (age % 10) / 10
        row[low] = 1 - rest
        if rest:
            row[low + 1] = rest
        rows.append(row)
    return rows


def test_divergence_from_two_points_is_plain_loops(agree: Agree) -> None:
    def loops(z: Tensor) -> Tensor:
        total = z.new_zeros(())
        for row, wanted in zip(z, loop_targets(), strict=True):
            p = row.exp() / row.exp().sum()
            for j, weight in enumerate(wanted):
                if weight:
                    total = total + weight * (torch.tensor(weight).double() / p[j]).log()
        return total / len(z)

    agree(lambda z: kl_divergence(two_point(AGES, 6, 10), z.log_softmax(1)), loops, logits())


@pytest.mark.parametrize("gamma", [1.5, 2.0])
def test_focal_loss_is_plain_loops(agree: Agree, gamma: float) -> None:
    def loops(z: Tensor) -> Tensor:
        total = z.new_zeros(())
        for row, wanted in zip(z, loop_targets(), strict=True):
            p = row.exp() / row.exp().sum()
            for j, weight in enumerate(wanted):
                if weight:
                    total = total - (weight - p[j]).abs() ** gamma * p[j].log()
        return total / len(z)

    agree(
        lambda z: focal_bin_loss(two_point(AGES, 6, 10), z.log_softmax(1), gamma), loops, logits()
    )
