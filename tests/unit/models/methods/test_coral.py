"""CORAL: shared score, biases in order, and a word when they are not."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import pytest
import torch
from coral_pytorch.dataset import levels_from_labelbatch
from coral_pytorch.layers import CoralLayer
from coral_pytorch.losses import coral_loss
from torch import Tensor, nn

from agelens.models.methods.base import AgeTargets
from agelens.models.methods.coral import CORAL, CORALHead, RankInconsistencyWarning

Agree = Callable[[Callable[[Tensor], Tensor], Callable[[Tensor], Tensor], Tensor], None]
AGES = [10.0, 12.0, 16.0, 13.4]
CLASSES = torch.tensor([0, 2, 6, 3])


@pytest.mark.parametrize("descending", [True, False])
def test_head_is_the_authors_layer(descending: bool) -> None:
    head = CORAL("10-16", descending_biases=descending).head(5)
    layer = CoralLayer(5, 7, preinit_bias=descending)
    assert isinstance(head, CORALHead)
    torch.testing.assert_close(head.bias, layer.coral_bias)
    layer.coral_weights.weight.data.copy_(head.score.weight)
    features = torch.randn(4, 5, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(head(features), layer(features))


@pytest.mark.parametrize("weighed", [False, True])
def test_loss_is_that_of_coral_pytorch(
    agree: Agree, labelled: Callable[..., AgeTargets], weighed: bool
) -> None:
    method = CORAL("10-16", task_weights=weighed)
    method.fit_ages(torch.tensor([*AGES, 11.0, 11.0]))
    truth = levels_from_labelbatch(CLASSES, 7, dtype=torch.float64)
    logits = torch.randn(4, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    agree(
        lambda z: method.loss(z, labelled(AGES)),
        lambda z: coral_loss(z, truth, method.task_weights),
        logits,
    )


def test_biases_in_order_are_silent() -> None:
    for descending in (True, False):  # equal biases contradict nothing
        network = nn.Sequential(CORAL("10-16", descending_biases=descending).head(5))
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            network.eval()


def test_biases_out_of_order_warn_once_an_evaluation() -> None:
    head = CORAL("10-16").head(5)
    assert isinstance(head, CORALHead)
    with torch.no_grad():
        head.bias.copy_(torch.tensor([3.0, 2.0, 2.5, 1.0, 1.5, 0.0]))
    assert head.rising().tolist() == [2, 4]
    network = nn.Sequential(head)
    for _ in range(2):
        network.train()
        with pytest.warns(RankInconsistencyWarning, match="2 of 6 biases.*bias 2") as caught:
            network.eval()
            for _ in range(3):
                network(torch.zeros(4, 5))
            network.eval()
        assert len(caught) == 1
