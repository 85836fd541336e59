"""The residue term: which classes are out, and what they cost."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from agelens.models.methods.amr import below_true, beyond_rank, residue

CLASSES = torch.tensor([0, 8, 3, 4, 7])


def logits() -> Tensor:
    return torch.randn(5, 9, generator=torch.Generator().manual_seed(5), dtype=torch.float64)


def loop_beyond_rank(row: list[float], true: int) -> list[bool]:
    ranking = sorted(range(len(row)), key=lambda j: (-row[j], j))
    kept = ranking[: max(2, ranking.index(true) + 1)]
    return [j not in kept for j in range(len(row))]


def test_rules_match_plain_loops() -> None:
    z = logits()
    ours, theirs = beyond_rank(z, CLASSES), below_true(z, CLASSES)
    for i, true in enumerate(CLASSES.tolist()):
        row = z[i].tolist()
        assert ours[i].tolist() == loop_beyond_rank(row, true)
        assert theirs[i].tolist() == [value < row[true] for value in row]


@given(
    st.lists(st.sampled_from([-3.0, -1.0, 0.0, 2.0]), min_size=2, max_size=8),
    st.data(),
)
def test_the_true_class_and_one_more_are_always_kept(row: list[float], data: st.DataObject) -> None:
    true = data.draw(st.integers(0, len(row) - 1))
    z = torch.tensor([row]).log_softmax(dim=1)
    out = beyond_rank(z, torch.tensor([true]))[0]
    assert out.tolist() == loop_beyond_rank(z[0].tolist(), true)
    assert not out[true]
    assert (~out).sum() >= 2
    assert not below_true(z, torch.tensor([true]))[0, true]


def test_the_rules_differ_by_one_class_where_the_true_one_is_the_likeliest() -> None:
    z = torch.tensor([[3.0, 2.0, 1.0, 0.0]])
    true = torch.tensor([0])
    assert beyond_rank(z, true).tolist() == [[False, False, True, True]]
    assert below_true(z, true).tolist() == [[False, True, True, True]]


@pytest.mark.parametrize("eps", [0.0, 1e-3])
@pytest.mark.parametrize("rule", [beyond_rank, below_true])
def test_matches_plain_loops(
    agree: Callable[..., None],
    loop_softmax: Callable[[Tensor], list[Tensor]],
    rule: Callable[[Tensor, Tensor], Tensor],
    eps: float,
) -> None:
    out = rule(logits(), CLASSES)

    def loops(z: Tensor) -> Tensor:
        total = torch.zeros((), dtype=torch.float64)
        for i in range(len(z)):
            for p, is_out in zip(loop_softmax(z[i]), out[i], strict=True):
                if is_out:
                    total = total - (p + eps) * (p + eps).log()
        return total / len(z)

    def ours(z: Tensor) -> Tensor:
        log_posterior = z.log_softmax(dim=1)
        return residue(log_posterior, rule(log_posterior, CLASSES), eps)

    agree(ours, loops, logits())


def test_the_authors_code_adds_a_constant_for_each_class_kept() -> None:
    """Their form: everything not below the true class becomes 0 before eps is added."""
    z, eps = logits(), 1e-3
    log_posterior = z.log_softmax(dim=1)
    out = below_true(log_posterior, CLASSES)
    emptied = torch.where(out, log_posterior.exp(), 0) + eps
    theirs = -(emptied * emptied.log()).sum(dim=1).mean().item()
    constant = -eps * math.log(eps) * (~out).sum(dim=1).double().mean().item()
    assert residue(log_posterior, out, eps).item() == pytest.approx(theirs - constant, rel=1e-12)


@pytest.mark.parametrize("eps", [0.0, 1e-3])
def test_impossible_classes_cost_nothing_that_is_not_finite(eps: float) -> None:
    z = torch.tensor([[1e4, -1e4, 0.0, -1e4]], requires_grad=True)
    log_posterior = z.log_softmax(dim=1)
    loss = residue(log_posterior, beyond_rank(log_posterior, torch.tensor([1])), eps)
    loss.backward()
    assert loss.isfinite()
    assert z.grad is not None
    assert z.grad.isfinite().all()
