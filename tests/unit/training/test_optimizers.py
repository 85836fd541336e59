from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from agelens.errors import UsageError
from agelens.models.age_model import AgeModel
from agelens.models.backbones.base import Backbone
from agelens.models.methods.regression import L1Regression
from agelens.training.optimizers import SGD, Adam, AdamW, OptimizerChoice


class Tiny(Backbone):
    """Two stages: a convolution with batch norm, another without."""

    features, early_features, size = 4, 4, 8
    mean = std = (0.5, 0.5, 0.5)
    stages = (("first", "norm"), ("second",))

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 4, 3)
        self.norm = nn.BatchNorm2d(4)
        self.second = nn.Conv2d(4, 4, 3)

    def with_early(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        early = self.norm(self.first(images))
        return self.second(early).mean((2, 3)), early.mean((2, 3))


@pytest.fixture
def model() -> AgeModel:
    torch.manual_seed(0)
    return AgeModel(Tiny(), L1Regression())


def settings(optimizer: torch.optim.Optimizer, model: AgeModel) -> dict[str, tuple[float, float]]:
    """Rate and decay of each weight by name."""
    names = {id(weight): name for name, weight in model.named_parameters()}
    return {
        names[id(weight)]: (group["lr"], group["weight_decay"])
        for group in optimizer.param_groups
        for weight in group["params"]
    }


@pytest.mark.parametrize(
    ("kind", "theirs"),
    [(SGD, torch.optim.SGD), (Adam, torch.optim.Adam), (AdamW, torch.optim.AdamW)],
)
def test_every_weight_is_in_one_group(kind: type[OptimizerChoice], theirs: Any, model) -> None:
    optimizer = kind(0.1, weight_decay=0.01)(model)
    assert type(optimizer) is theirs
    assert settings(optimizer, model).keys() == dict(model.named_parameters()).keys()
    assert sum(len(group["params"]) for group in optimizer.param_groups) == len(
        list(model.parameters())
    )


def test_biases_and_scales_do_not_decay(model) -> None:
    found = settings(AdamW(0.1, weight_decay=0.01)(model), model)
    assert {name for name, (_, decay) in found.items() if decay} == {
        name for name, weight in model.named_parameters() if weight.ndim > 1
    }
    decaying = settings(AdamW(0.1, weight_decay=0.01, decay_all=True)(model), model)
    assert {decay for _, decay in decaying.values()} == {0.01}


def test_stages_have_their_factors(model) -> None:
    found = settings(SGD(1.0, stage_factors=[0.1, 0.5])(model), model)
    assert found["backbone.first.weight"][0] == found["backbone.norm.bias"][0] == 0.1
    assert found["backbone.second.weight"][0] == 0.5
    assert {rate for name, (rate, _) in found.items() if name.startswith("head")} == {1.0}
    decayed = settings(SGD(1.0, stage_factors=0.5)(model), model)
    assert decayed["backbone.first.weight"][0] == 0.25
    assert decayed["backbone.second.weight"][0] == 0.5


def test_frozen_weights_are_in_it_for_when_they_are_let_go(model) -> None:
    model.backbone.requires_grad_(False)
    assert len(settings(SGD(1.0)(model), model)) == len(list(model.parameters()))


def test_as_many_factors_as_stages(model) -> None:
    with pytest.raises(UsageError, match=r"2 stages \(first, norm; second\), stage_factors has 3"):
        SGD(1.0, stage_factors=[1, 1, 1])(model)


@pytest.mark.parametrize(
    "options", [{"lr": 0}, {"lr": 1, "weight_decay": -1}, {"lr": 1, "stage_factors": [-1]}]
)
def test_impossible_numbers_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        AdamW(**options)


def test_its_own_options_reach_torch(model) -> None:
    (first, *_) = SGD(0.1, momentum=0.5, nesterov=True)(model).param_groups
    assert (first["momentum"], first["nesterov"]) == (0.5, True)
    (first, *_) = AdamW(0.1, betas=(0.5, 0.6), eps=1e-3)(model).param_groups
    assert (first["betas"], first["eps"]) == ((0.5, 0.6), 1e-3)
