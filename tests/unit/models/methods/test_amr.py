"""Adaptive mean-residue loss against loops, in the paper's form and in the repository's."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from agelens.errors import UnknownNameError
from agelens.models.methods.amr import RESIDUE_RULES, AdaptiveMeanResidue, ResidueRule
from agelens.models.methods.base import AgeTargets

Labelled = Callable[..., AgeTargets]
LABELS, CLASSES = [0.0, 11.0, 5.5, 3.25], [0, 11, 6, 3]


def logits() -> Tensor:
    z = torch.randn(4, 12, generator=torch.Generator().manual_seed(12), dtype=torch.float64)
    z[1, 11] = 3.0  # here the true class is the likeliest, where the two rules differ
    return z


@pytest.mark.parametrize("eps", [0.0, 1e-3])
@pytest.mark.parametrize("rule", RESIDUE_RULES)
def test_matches_plain_loops(
    agree: Callable[..., None],
    loop_softmax: Callable[[Tensor], list[Tensor]],
    labelled: Labelled,
    rule: ResidueRule,
    eps: float,
) -> None:
    def is_out(p: list[Tensor], j: int, true: int) -> bool:
        if rule == "below-true":
            return bool(p[j] < p[true])
        likelier = sum(bool(q > p[j]) for q in p)
        rank_of_true = 1 + sum(bool(q > p[true]) for q in p)
        return likelier >= max(2, rank_of_true)

    def loops(z: Tensor) -> Tensor:
        total = torch.zeros((), dtype=torch.float64)
        for i, (age, true) in enumerate(zip(LABELS, CLASSES, strict=True)):
            p = loop_softmax(z[i])
            mean = sum(a * q for a, q in enumerate(p))
            total = total - p[true].log() + 0.2 * (mean - age) ** 2 / 2
            for j, q in enumerate(p):
                if is_out(p, j, true):
                    total = total - 0.4 * (q + eps) * (q + eps).log()
        return total / len(z)

    method = AdaptiveMeanResidue("0-11", residue_weight=0.4, residue_rule=rule, eps=eps)
    agree(lambda z: method.loss(z, labelled(LABELS)), loops, logits())


def test_the_rules_give_different_losses(labelled: Labelled) -> None:
    losses = {
        AdaptiveMeanResidue("0-11", residue_rule=rule).loss(logits(), labelled(LABELS)).item()
        for rule in RESIDUE_RULES
    }
    assert len(losses) == 2


def test_an_unknown_rule_lists_the_valid_ones() -> None:
    with pytest.raises(UnknownNameError, match="below-true, beyond-rank"):
        AdaptiveMeanResidue(residue_rule="top-3")


@pytest.mark.parametrize("option", ["mean_weight", "residue_weight", "eps"])
def test_weights_must_not_be_negative(option: str) -> None:
    with pytest.raises(ValueError, match=f"{option} must be at least 0"):
        AdaptiveMeanResidue(**{option: -0.1})
