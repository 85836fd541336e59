"""A small network and what it saw chips through, for tests of training and export."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from agelens.data.training_input.geometry import ChipTransform
from agelens.export.export_network import TrainedInput
from agelens.models.age_model import AgeModel
from agelens.models.backbones import Backbone
from agelens.models.methods import method_class


class SmallNet(Backbone):
    """Two convolutions, the first with a batch norm that has seen something."""

    name, features, early_features, size = "small-net", 8, 6, 16
    mean, std = (0.5, 0.4, 0.3), (0.2, 0.3, 0.4)
    stages = (("first.", "norm."), ("second.",))

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 6, 3, stride=2)
        self.norm = nn.BatchNorm2d(6)
        self.second = nn.Conv2d(6, 8, 3, stride=2)
        self.norm.running_mean.uniform_(-1, 1)  # type: ignore[union-attr]
        self.norm.running_var.uniform_(0.5, 2)  # type: ignore[union-attr]

    def with_early(self, images: Tensor) -> tuple[Tensor, Tensor]:
        early = torch.relu(self.norm(self.first(images)))
        return self.second(early).mean((2, 3)), early.mean((2, 3))


@pytest.fixture(scope="session")
def small_model() -> Callable[..., AgeModel]:
    """Makes a model of any method on `SmallNet`, the same each time."""

    def make(method: str = "dex", ages: str = "10-40", **options: Any) -> AgeModel:
        torch.manual_seed(11)
        made = method_class(method)(ages, **options)
        made.fit_ages(torch.linspace(10, 40, 31))
        return AgeModel(SmallNet(), made).eval()

    return make


@pytest.fixture(scope="session")
def seen() -> Callable[..., TrainedInput]:
    """Makes the input of `SmallNet` for chips of a size, cut in some way."""

    def make(chip_size: int = 16, *, enlarge: float = 1.0, **settings: Any) -> TrainedInput:
        whole: dict[str, Any] = {
            "size": chip_size,
            "alignment": "similarity",
            "template": "dlib-64",
            "margin": 0.25,
            "detector": "retinaface",
        }
        transform = ChipTransform(16, enlarge=enlarge, mean=SmallNet.mean, std=SmallNet.std)
        return TrainedInput(whole | settings, transform)

    return make
