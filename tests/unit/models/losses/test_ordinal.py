"""Ordinal losses beside those of coral-pytorch and dlordinal, and beside plain loops."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from coral_pytorch.dataset import levels_from_labelbatch
from coral_pytorch.losses import coral_loss, corn_loss
from dlordinal.losses import CORNLoss
from torch import Tensor

from agelens.models.losses import (
    conditional_cross_entropy,
    importance_weights,
    levels,
    ordinal_cross_entropy,
    share_weights,
    two_way_cross_entropy,
)

Agree = Callable[[Callable[[Tensor], Tensor], Callable[[Tensor], Tensor], Tensor], None]
CLASSES = torch.tensor([0, 1, 2, 2, 2, 3, 4, 4])
WEIGHTS = torch.tensor([0.2, 1.0, 0.7, 0.4], dtype=torch.float64)


def normal(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(3), dtype=torch.float64)


def test_levels_of_class_2_of_5() -> None:
    assert levels(torch.tensor([2]), 4).int().tolist() == [[1, 1, 0, 0]]


@pytest.mark.parametrize("weights", [None, WEIGHTS])
def test_coral_loss_is_that_of_coral_pytorch(agree: Agree, weights: Tensor | None) -> None:
    truth = levels_from_labelbatch(CLASSES, 5, dtype=torch.float64)
    agree(
        lambda z: ordinal_cross_entropy(z, CLASSES, weights),
        lambda z: coral_loss(z, truth, weights),
        2 * normal(8, 4),
    )


def test_ordinal_loss_of_ignorance_is_log_2_a_task() -> None:
    loss = ordinal_cross_entropy(torch.zeros(8, 4), CLASSES)
    assert loss.item() == pytest.approx(4 * math.log(2))


def test_ordinal_loss_is_linear_far_out_and_not_infinite() -> None:
    logits = torch.full((8, 4), 1e4)
    share = 1 - levels(CLASSES, 4).float().mean().item()
    assert ordinal_cross_entropy(logits, CLASSES).item() == pytest.approx(4e4 * share)


@pytest.mark.parametrize("weights", [None, WEIGHTS])
def test_two_way_loss_is_plain_loops(agree: Agree, weights: Tensor | None) -> None:
    factors = torch.ones(4) if weights is None else weights

    def loops(logits: Tensor) -> Tensor:
        total = logits.new_zeros(())
        for i, true in enumerate(CLASSES.tolist()):
            for k in range(4):
                no, yes = logits[i, k, 0].exp(), logits[i, k, 1].exp()
                total = total - factors[k] * ((yes if true > k else no) / (no + yes)).log()
        return total / len(CLASSES)

    agree(lambda z: two_way_cross_entropy(z, CLASSES, weights), loops, normal(8, 4, 2))


def test_two_way_loss_is_that_of_yes_minus_no() -> None:
    logits = normal(8, 4, 2)
    single = ordinal_cross_entropy(logits[..., 1] - logits[..., 0], CLASSES, WEIGHTS)
    torch.testing.assert_close(two_way_cross_entropy(logits, CLASSES, WEIGHTS), single)


@pytest.mark.parametrize("classes", [CLASSES, torch.tensor([0, 1, 1, 0, 1, 0, 0, 0])])
def test_corn_loss_is_that_of_coral_pytorch_and_dlordinal(agree: Agree, classes: Tensor) -> None:
    # The second set leaves the upper tasks without a sample.
    for reference in (lambda z: corn_loss(z, classes, 5), lambda z: CORNLoss(5)(z, classes)):
        agree(lambda z: conditional_cross_entropy(z, classes), reference, 2 * normal(8, 4))


def test_corn_loss_of_ignorance_is_log_2() -> None:
    loss = conditional_cross_entropy(torch.zeros(8, 4), CLASSES)
    assert loss.item() == pytest.approx(math.log(2))


def test_share_weights_are_plain_loops() -> None:
    roots = [math.sqrt(CLASSES.tolist().count(k)) for k in range(4)]
    expected = [root / sum(roots) for root in roots]
    assert share_weights(CLASSES, 4).tolist() == pytest.approx(expected)


def test_a_class_without_samples_weighs_as_one_of_one() -> None:
    assert share_weights(torch.tensor([0, 0, 0, 0, 2, 3]), 3).tolist() == [0.5, 0.25, 0.25]


def test_importance_weights_are_plain_loops() -> None:
    truth = CLASSES.tolist()
    sides = [max(sum(c > k for c in truth), sum(c <= k for c in truth)) for k in range(4)]
    expected = [math.sqrt(side / max(sides)) for side in sides]
    assert importance_weights(CLASSES, 4).tolist() == pytest.approx(expected)
    assert importance_weights(CLASSES, 4).max() == 1


def test_an_even_question_weighs_the_root_of_one_half() -> None:
    weights = importance_weights(torch.tensor([0, 0, 2, 2]), 3)
    assert weights.tolist() == pytest.approx([math.sqrt(0.5), math.sqrt(0.5), 1.0])
