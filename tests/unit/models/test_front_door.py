"""`agelens.models`: every method by its class's name, and what there is."""

from __future__ import annotations

import subprocess
import sys

import pytest
from torch import Tensor, nn

import agelens.models
from agelens.errors import UnknownNameError
from agelens.models import (
    BACKBONES,
    METHODS,
    AgeClassification,
    Backbone,
    build_backbone,
    list_backbones,
    list_methods,
    method_class,
)


class OwnNet(Backbone):
    """One convolution."""

    name, features, early_features, size = "own-net", 4, 4, 32
    mean, std = (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)
    stages = (("only.",),)

    def __init__(self, stride: int = 2) -> None:
        super().__init__()
        self.only = nn.Conv2d(3, 4, 3, stride=stride)

    def with_early(self, images: Tensor) -> tuple[Tensor, Tensor]:
        mean = self.only(images).mean((2, 3))
        return mean, mean


class OwnMethod(AgeClassification):
    def loss(self, outputs: Tensor, targets: object) -> Tensor:
        return outputs.mean()


def test_every_method_is_here_by_its_name() -> None:
    for name in METHODS:
        one = method_class(name)
        assert getattr(agelens.models, one.__name__) is one
        assert one.__name__ in dir(agelens.models)


def test_methods_and_backbones_are_listed_with_what_they_are() -> None:
    methods, backbones = list_methods(), list_backbones()
    assert list(methods.index) == list(METHODS)
    assert list(backbones.index) == list(BACKBONES)
    assert methods.loc["coral", "class_name"] == "CORAL"
    assert (methods["what"].str.len() > 10).all()
    assert (backbones["what"].str.len() > 10).all()
    assert "resnet18" in list_backbones("resnet1*").index


def test_an_unknown_name_is_no_attribute() -> None:
    with pytest.raises(AttributeError, match="NoMethod"):
        _ = agelens.models.NoMethod


def test_looking_at_the_package_does_not_load_torch() -> None:
    program = "import agelens.models, sys; dir(agelens.models); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_a_class_of_ones_own_is_built_by_its_import_path() -> None:
    built = build_backbone(f"{__name__}.OwnNet", stride=3)
    assert isinstance(built.backbone, OwnNet)
    assert built.backbone.only.stride == (3, 3)


@pytest.mark.parametrize("path", ["no_such_module.Net", f"{__name__}.OwnMethod"])
def test_what_is_no_backbone_is_told(path: str) -> None:
    with pytest.raises(UnknownNameError, match=r"agelens\.models\.Backbone"):
        build_backbone(path)


def test_a_method_without_a_name_has_its_class_s() -> None:
    assert OwnMethod.name == "OwnMethod"
    assert OwnMethod().paper == "not stated"
