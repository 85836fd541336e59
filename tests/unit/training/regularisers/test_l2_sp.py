"""L2-SP against the paper's sum, written as loops."""

from __future__ import annotations

import copy

import pytest
import torch

from agelens.errors import UsageError
from agelens.training.regularisers import L2SP


def _moved(model):
    torch.manual_seed(3)
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(0.1 * torch.randn_like(weight))


def test_is_the_papers_sum_in_value_and_gradient(toy, images) -> None:
    model, penalty = toy(), L2SP(alpha=0.3, beta=0.05)
    start = copy.deepcopy(model).state_dict()
    penalty.setup(model)
    _moved(model)
    term = penalty(model, images, model(images))
    term.backward()
    expected = 0.0
    for name, weight in model.named_parameters():
        for value, origin, slope in zip(
            weight.flatten().tolist(),
            start[name].flatten().tolist(),
            weight.grad.flatten().tolist(),
            strict=True,
        ):
            factor, pull = (0.05, value) if name.startswith("head") else (0.3, value - origin)
            expected += factor / 2 * pull**2
            assert slope == pytest.approx(factor * pull, abs=1e-7)
    assert term.item() == pytest.approx(expected, rel=1e-6)


def test_is_nothing_at_the_start_but_for_new_weights(toy, images) -> None:
    model = toy()
    penalty = L2SP(alpha=1.0, beta=0.0)
    penalty.setup(model)
    assert penalty(model, images, model(images)).item() == 0


def test_a_head_that_is_pretrained_too_is_held_to_its_start(toy, images) -> None:
    model = toy()
    penalty = L2SP(alpha=1.0, beta=1.0, pretrained=("backbone", "head"))
    penalty.setup(model)
    assert penalty(model, images, model(images)).item() == 0


def test_frozen_weights_do_not_count(toy, images) -> None:
    model, penalty = toy(), L2SP(alpha=1.0, beta=0.0)
    penalty.setup(model)
    _moved(model)
    for weight in model.backbone.parameters():
        weight.requires_grad_(requires_grad=False)
    assert penalty(model, images, model(images)).item() == 0


def test_an_averaged_copy_of_a_model_shares_the_start() -> None:
    penalty = L2SP()
    assert copy.deepcopy(penalty) is penalty


def test_a_prefix_without_weights_is_an_error_that_names_the_parts(toy) -> None:
    with pytest.raises(UsageError, match=r"'bakbone'; the model has backbone, head"):
        L2SP(pretrained=("bakbone",)).setup(toy())


@pytest.mark.parametrize("factors", [{"alpha": -0.1}, {"beta": -1}])
def test_negative_factors_are_refused(factors) -> None:
    with pytest.raises(UsageError, match="at least 0"):
        L2SP(**factors)
