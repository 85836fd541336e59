"""A network small enough to explain in milliseconds."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from agelens.data.training_input.geometry import ChipTransform
from agelens.models.age_model import AgeModel
from agelens.models.attribution import ExplainedNetwork
from agelens.models.backbones.base import Backbone
from agelens.models.methods import method_class


class SmallBackbone(Backbone):
    """Two convolutions, a ReLU in place, and the mean over places."""

    name = "small"
    features = 6
    early_features = 4
    size = 16
    mean = (0.5, 0.5, 0.5)
    std = (0.25, 0.25, 0.25)
    stages = (("first.",), ("second.",))

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(3, 4, 3, 2, 1), nn.Tanh())
        self.second = nn.Sequential(nn.Conv2d(4, 6, 3, 1, 1), nn.ReLU(inplace=True))

    def with_early(self, images: Tensor) -> tuple[Tensor, Tensor]:
        early = self.first(images)
        return self.second(early).mean((2, 3)), early.mean((2, 3))


def small_network(
    method: str = "dldl-v2", size: int = 16, enlarge: float = 1.0, backbone: Backbone | None = None
) -> ExplainedNetwork:
    torch.manual_seed(3)
    made = method_class(method)("20-50")
    made.fit_ages(torch.linspace(20, 50, 31))
    model = AgeModel(backbone or SmallBackbone(), made).eval()
    with torch.no_grad():
        for weight in model.parameters():
            weight.mul_(2)  # a fresh network answers nearly alike to all
    return ExplainedNetwork(model, ChipTransform(size, enlarge=enlarge))


@pytest.fixture(scope="session")
def network_of() -> Callable[..., ExplainedNetwork]:
    """Makes a network; see `small_network`."""
    return small_network
