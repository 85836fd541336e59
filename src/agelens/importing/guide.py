"""The guide's models: ResNet-50, EfficientNet-B0 and ViT with a head 256 wide behind dropout."""

from __future__ import annotations

from math import isqrt
from typing import Final

import timm
from torch import Tensor, nn
from torchvision.models import efficientnet_b0, resnet50

from agelens.errors import CardError
from agelens.importing.contents import Contents
from agelens.importing.imported_network import NO_SPREAD, ImportedNetwork, YearsWithSpread
from agelens.importing.layout import ChipChoice, Choices, Filled, Layout, fill, moves_into
from agelens.models.methods.regression import L1Regression

_AGES: Final = "0-116"  # UTKFace's
_HIDDEN: Final = 256
_VIT: Final = "vit_small_patch14_dinov2"
_PATCH: Final = 14


class _Guided(nn.Module):
    """The name that the guide's own class gives its network."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> Tensor:
        """One number [B, 1], an age in years."""
        age: Tensor = self.model(images)
        return age


def _resnet(_: int) -> nn.Module:
    net: nn.Module = resnet50(weights=None)
    net.fc = nn.Sequential(nn.Dropout(0.2), nn.Linear(2048, _HIDDEN), nn.Linear(_HIDDEN, 1))
    return net


def _efficientnet(_: int) -> nn.Module:
    net: nn.Module = efficientnet_b0(weights=None)
    net.classifier = nn.Sequential(nn.Dropout(0.2), nn.Linear(1280, _HIDDEN), nn.Linear(_HIDDEN, 1))
    return net


def _vit(size: int) -> nn.Module:
    net: nn.Module = timm.create_model(_VIT, img_size=size, num_classes=0)
    net.head = nn.Sequential(nn.Dropout(0.2), nn.Linear(384, _HIDDEN), nn.ReLU(), nn.Linear(256, 1))
    return net


_MAKERS: Final = {
    "model.fc.1.weight": ("resnet50", _resnet),
    "model.classifier.1.weight": ("efficientnet_b0", _efficientnet),
    "model.head.1.weight": (_VIT, _vit),
}


def _recognises(contents: Contents) -> bool:
    return any(contents.shape(name)[:1] == (_HIDDEN,) for name in _MAKERS)


def _fill(contents: Contents, choices: Choices) -> Filled:
    size = choices.size or _size(contents)
    found = next((made for name, made in _MAKERS.items() if contents.holds(name)), None)
    if found is None:
        raise CardError(f"{contents.path}: none of the guide's heads ({', '.join(_MAKERS)}) in it")
    name, make = found
    network = _Guided(make(size))
    model = ImportedNetwork(
        network, L1Regression(choices.ages or _AGES), YearsWithSpread(), slice(None)
    )
    keys = fill(model, contents, moves_into(contents, "network."), f"the guide's {name}")
    return Filled(
        network=model,
        keys=keys,
        backbone=name,
        method=L1Regression.name,
        size=size,
        notes=(NO_SPREAD,),
    )


def _size(contents: Contents) -> int:
    """Of chips; a transformer's by its position embedding, unless that fits the guide's."""
    embedding = contents.shape("model.pos_embed")
    patches = isqrt(embedding[1] - 1) if embedding else _CHIPS.size // _PATCH
    return _CHIPS.size if patches == _CHIPS.size // _PATCH else patches * _PATCH


_CHIPS: Final = ChipChoice(
    size=128,
    template="dlib-64",
    margin=-0.03,  # the median over 40 chips of UTKFace, by the landmarks that retinaface finds
    source="UTKFace's aligned chips, resized to 128 pixels (README), ImageNet's mean and "
    "deviation; photos are cut as UTKFace's owner cut them.",
)
LAYOUT: Final = Layout(
    name="guide",
    owner="the guide to facial age estimation in PyTorch (AgeEstimationModel)",
    paper=L1Regression.paper,
    chips=_CHIPS,
    recognises=_recognises,
    fill=_fill,
    takes=("ages", "size"),
)
