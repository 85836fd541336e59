"""Answers for chips and for the same chips moved a little."""

from __future__ import annotations

import math

import pytest
import torch
from torch.distributions import Normal, kl_divergence

from agelens.data.training_input.geometry import RandomSimilarity
from agelens.errors import UsageError
from agelens.training.regularisers import Consistency


def _moved(images, seed: int):
    torch.manual_seed(seed)
    return RandomSimilarity(9, 0.2, 0.1, padding="reflection").change(images, None)


def _term(model, images, seed: int = 3, **options) -> torch.Tensor:
    term = Consistency(degrees=9, scale=0.2, shift=0.1, **options)
    term.setup(model)
    outputs = model(images)
    torch.manual_seed(seed)
    return term(model, images, outputs)


def test_is_the_symmetric_divergence_of_both_answers(toy, images) -> None:
    model = toy("dex")
    p, q = (model(each).age.softmax(1).tolist() for each in (images, _moved(images, 3)))
    expected = sum(
        (a - b) * (math.log(a) - math.log(b))
        for before, after in zip(p, q, strict=True)
        for a, b in zip(before, after, strict=True)
    ) / (2 * len(images))
    assert expected > 0
    got = _term(model, images, share=1, weight=3.0)
    assert got.item() == pytest.approx(3 * expected, rel=1e-4)


def test_normal_distributions_are_compared_as_such(toy, images) -> None:
    model = toy("gaussian")
    with torch.no_grad():
        model.backbone.second.weight *= 400  # else the answers would hardly differ
    p, q = (
        Normal(*model.method.posterior(model(each).age).clamp_min(1).T)
        for each in (images, _moved(images, 3))
    )
    spreads = torch.stack([p.stddev, q.stddev])
    assert (spreads > 1).all()  # else the least spread would stand in for them
    expected = (kl_divergence(p, q) + kl_divergence(q, p)).mean() / 2
    assert _term(model, images, share=1).item() == pytest.approx(expected.item(), rel=1e-3)


def test_only_the_stated_share_is_seen_twice(toy, images) -> None:
    model, seen = toy(), []
    model.backbone.first.register_forward_hook(lambda *_: seen.append(len(_[1][0])))
    _term(model, images, share=0.4)
    assert seen == [5, 2]


def test_both_answers_learn(toy, images) -> None:
    model = toy()
    _term(model, images).backward()
    assert model.backbone.first.weight.grad.abs().sum() > 0


def test_chips_that_do_not_move_are_answered_alike(toy, images) -> None:
    model = toy()
    term = Consistency(degrees=0, scale=0, shift=0)
    assert term(model, images, model(images)).item() == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize(
    "wrong", [{"weight": -1}, {"degrees": -1}, {"shift": -0.1}, {"share": 0}, {"share": 1.5}]
)
def test_what_cannot_be_is_refused(wrong) -> None:
    with pytest.raises(UsageError, match="consistency needs"):
        Consistency(**wrong)
