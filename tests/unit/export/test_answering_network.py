"""The network that is exported is a copy, in evaluation form, that shows nobody."""

from __future__ import annotations

import copy
from collections.abc import Callable

import torch

from agelens.export.export_network import ExportNetwork, TrainedInput
from agelens.models.age_model import AgeModel


def test_the_model_is_left_as_it_is(
    small_model: Callable[..., AgeModel], seen: Callable[..., TrainedInput]
) -> None:
    model = small_model().double().train()
    with torch.no_grad():
        model.backbone.first.weight[0, 0, 0, 0] = 1e-310  # type: ignore[union-attr, operator]
    before = copy.deepcopy(model.state_dict())
    network = ExportNetwork(model, seen())
    assert model.training
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(weight.requires_grad for weight in model.parameters())
    assert not any(module.training for module in network.modules())
    assert {weight.dtype for weight in network.parameters()} == {torch.float32}


def test_subnormal_weights_become_zero(
    small_model: Callable[..., AgeModel], seen: Callable[..., TrainedInput]
) -> None:
    model = small_model()
    with torch.no_grad():
        model.head.weight[0, :3] = torch.tensor([1e-40, -1e-44, 1e-37])  # type: ignore[union-attr, operator]
    weight = ExportNetwork(model, seen()).model.head.weight
    torch.testing.assert_close(weight[0, :3], torch.tensor([0, 0, 1e-37]), rtol=0, atol=0)  # type: ignore[index]


def test_the_example_is_the_same_noise_each_time(
    small_model: Callable[..., AgeModel], seen: Callable[..., TrainedInput]
) -> None:
    network = ExportNetwork(small_model(), seen(24))
    assert network.example().shape == (2, 3, 24, 24)
    assert torch.equal(network.example(), network.example())
    assert network(network.example()).shape == (2, 31)
