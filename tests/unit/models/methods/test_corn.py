"""CORN: monotone by construction."""

from __future__ import annotations

from collections.abc import Callable

import torch
from coral_pytorch.dataset import corn_label_from_logits
from coral_pytorch.losses import corn_loss
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from agelens.inference.answers import read_answers, survival_probabilities
from agelens.models.methods.base import AgeTargets
from agelens.models.methods.corn import CORN

Agree = Callable[[Callable[[Tensor], Tensor], Callable[[Tensor], Tensor], Tensor], None]


def test_loss_is_that_of_coral_pytorch(agree: Agree, labelled: Callable[..., AgeTargets]) -> None:
    logits = torch.randn(4, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    agree(
        lambda z: CORN("10-16").loss(z, labelled([10.0, 12.0, 16.0, 13.4])),
        lambda z: corn_loss(z, torch.tensor([0, 2, 6, 3]), 7),
        logits,
    )


@given(st.lists(st.floats(-40, 40), min_size=6, max_size=6))
def test_any_logits_give_falling_probabilities(row: list[float]) -> None:
    method, logits = CORN("10-16"), torch.tensor([row])
    older = survival_probabilities(method.answer(logits).numpy(), method.spec.link)
    assert (older[:, 1:] <= older[:, :-1]).all()
    posterior = method.posterior(logits)
    assert (posterior >= 0).all()
    torch.testing.assert_close(posterior.sum(1), torch.ones(1))


def test_rank_is_that_of_coral_pytorch() -> None:
    method = CORN("10-16")
    logits = 3 * torch.randn(50, 6, generator=torch.Generator().manual_seed(0))
    ranks = read_answers(method.answer(logits).numpy(), method.spec).estimate_years - 10
    assert ranks.tolist() == corn_label_from_logits(logits).tolist()
