"""OR-CNN: two forms of one loss."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from agelens.models.losses import ordinal_cross_entropy, share_weights
from agelens.models.methods.base import AgeTargets
from agelens.models.methods.or_cnn import ORCNN

Labelled = Callable[..., AgeTargets]
AGES = [10.0, 12.0, 16.0, 13.4]


def test_heads_of_both_forms() -> None:
    assert ORCNN("10-16").head(5)(torch.zeros(4, 5)).shape == (4, 6, 2)
    assert ORCNN("10-16", two_way=False).head(5)(torch.zeros(4, 5)).shape == (4, 6)


@pytest.mark.parametrize("weighed", [False, True])
def test_both_forms_cost_the_same(labelled: Labelled, weighed: bool) -> None:
    pairs = torch.randn(4, 6, 2, generator=torch.Generator().manual_seed(0))
    costs = []
    for two_way in (True, False):
        method = ORCNN("10-16", two_way=two_way, task_weights=weighed)
        method.fit_ages(torch.tensor([*AGES, 11.0, 11.0, 14.0, 15.0]))
        made = pairs if two_way else pairs[..., 1] - pairs[..., 0]
        costs.append(method.loss(made, labelled(AGES)))
        assert torch.equal(method.answer(made), pairs[..., 1] - pairs[..., 0])
    torch.testing.assert_close(*costs)


def test_weights_are_shares_of_the_training_ages(labelled: Labelled) -> None:
    method = ORCNN("10-16", two_way=False, task_weights=True)
    classes = torch.tensor([0, 0, 0, 1, 3, 4, 6])
    method.fit_ages(10.0 + classes)
    made = torch.randn(4, 6, generator=torch.Generator().manual_seed(0))
    expected = ordinal_cross_entropy(made, torch.tensor([0, 2, 6, 3]), share_weights(classes, 6))
    torch.testing.assert_close(method.loss(made, labelled(AGES)), expected)
