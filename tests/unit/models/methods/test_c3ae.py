"""C3AE: bins, and the age made of them."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from agelens.models.methods.base import AgeTargets
from agelens.models.methods.c3ae import C3AE, C3AEHead

Agree = Callable[[Callable[[Tensor], Tensor], Callable[[Tensor], Tensor], Tensor], None]
AGES = [32.0, 40.0, 3.0]
TARGETS = [{3: 0.8, 4: 0.2}, {4: 1.0}, {0: 0.7, 1: 0.3}]


def head_of(method: C3AE) -> C3AEHead:
    torch.manual_seed(0)
    head = method.head(5).double()
    assert isinstance(head, C3AEHead)
    return head


@pytest.mark.parametrize("gamma", [None, 2.0])
def test_loss_is_plain_loops(
    agree: Agree, labelled: Callable[..., AgeTargets], gamma: float | None
) -> None:
    method = C3AE(alpha=3.0, focal_gamma=gamma)
    head = head_of(method)

    def loops(features: Tensor) -> Tensor:
        total = features.new_zeros(())
        for row, age, wanted in zip(features, AGES, TARGETS, strict=True):
            logits = [head.w1.weight[j] @ row + head.w1.bias[j] for j in range(12)]
            p = [each.exp() / sum(other.exp() for other in logits) for each in logits]
            made = sum(p[j] * head.w2.weight[0, j] for j in range(12)) + head.w2.bias[0]
            total = total + (made - age).abs()
            for j, share in wanted.items():
                if gamma is None:
                    total = total + 3 * share * (share / p[j]).log()
                else:
                    total = total - 3 * (share - p[j]).abs() ** gamma * p[j].log()
        return total / len(AGES)

    features = torch.randn(3, 5, generator=torch.Generator().manual_seed(1))
    agree(lambda x: method.loss(head(x), labelled(AGES)), loops, features)


def test_an_untrained_net_answers_with_the_mean_of_its_bins() -> None:
    outputs = head_of(C3AE())(torch.randn(4, 5).double())
    bins = 10.0 * torch.arange(12).double()
    torch.testing.assert_close(C3AE().answer(outputs)[:, 0], outputs.log_bins.exp() @ bins)
    assert (outputs.age_spread[:, 1] == 15).all()


def test_spread_is_what_validation_erred_by() -> None:
    head = head_of(C3AE())
    head.after_epoch(torch.tensor([3.0, -4.0]), best=False)
    spread = C3AE().answer(head(torch.zeros(2, 5).double()))[:, 1]
    assert spread.tolist() == pytest.approx([12.5**0.5] * 2)


@pytest.mark.parametrize(
    "wrong", [{"bins": 1}, {"bin_years": 0.0}, {"alpha": -1.0}, {"focal_gamma": 0.5}]
)
def test_senseless_options_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        C3AE(**wrong)  # type: ignore[arg-type]
