"""A model of a few weights, and images for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
import torch
from torch import Tensor, nn

from agelens.models.age_model import AgeModel
from agelens.models.backbones.base import Backbone
from agelens.models.methods import method_class


class ToyBackbone(Backbone):
    """Two convolutions and a mean."""

    name = "toy"
    features = 4
    early_features = 4
    size = 8
    mean = (0.5, 0.5, 0.5)
    std = (0.25, 0.25, 0.25)
    stages = (("first.",), ("second.",))

    def __init__(self, features: int = 4) -> None:
        super().__init__()
        self.features = features
        self.first = nn.Conv2d(3, 4, 3)
        self.second = nn.Conv2d(4, features, 3)

    def with_early(self, images: Tensor) -> tuple[Tensor, Tensor]:
        early = self.first(images).relu()
        return self.second(early).mean((2, 3)), early.mean((2, 3))


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Networks this small are slower on two, and much slower where others have the cores."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def toy() -> Callable[..., AgeModel]:
    """Makes a model: ``toy("dex", seed=1, features=4, ages="0-9")``."""

    def make(method: str = "dex", *, seed: int = 0, features: int = 4, **options) -> AgeModel:
        torch.manual_seed(seed)
        return AgeModel(ToyBackbone(features), method_class(method)(**{"ages": "0-9", **options}))

    return make


@pytest.fixture
def images() -> Tensor:
    """Normalised images [5, 3, 8, 8]."""
    return torch.randn(5, 3, 8, 8, generator=torch.Generator().manual_seed(7))
