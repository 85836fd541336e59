"""The CC0 network of the default estimator as a module that can be trained further."""

from __future__ import annotations

from typing import Final, cast

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from agelens.inference.cards import load_card
from agelens.models.backbones.base import Backbone, RGBNumbers

CARD: Final = "cc0-resnet10"
HEAD: Final = ("layer_1_weights", "layer_1_bias")
"""The age layer in the packaged file: weight [256, 81] and bias [81]."""

# dlib numbers layers from the output; the affine layer after convolution n is n - 1.
_NUMBERS: Final = {
    52: "stem",
    47: "block1.first",
    44: "block1.second",
    39: "block2.first",
    36: "block2.second",
    28: "block3.first",
    25: "block3.second",
    20: "block4.first",
    17: "block4.second",
    9: "block5.first",
    6: "block5.second",
}


def public_name(name: str) -> str:
    """Our name of the parameter that the packaged ONNX file calls `name`; or `name`."""
    _, number, kind = name.split("_") if name.count("_") == 2 else ("", "", "")
    if not number.isdigit():
        return name
    place = int(number)
    if kind in ("weights", "bias") and place in _NUMBERS:
        return f"{_NUMBERS[place]}.conv.{'weight' if kind == 'weights' else 'bias'}"
    return f"{_NUMBERS[place + 1]}.{kind}" if place + 1 in _NUMBERS else name


class ConvAffine(nn.Module):
    """A convolution, then a scale and an offset a channel: batch norm as dlib freezes it."""

    def __init__(self, inputs: int, width: int, kernel: int, stride: int, padding: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, width, kernel, stride, padding)
        nn.init.kaiming_normal_(self.conv.weight, mode="fan_out", nonlinearity="relu")
        self.scale = nn.Parameter(torch.ones(1, width, 1, 1))
        self.offset = nn.Parameter(torch.zeros(1, width, 1, 1))

    def forward(self, images: Tensor) -> Tensor:
        """Maps [B, width, H', W']."""
        return torch.addcmul(self.offset, self.conv(images), self.scale)


class Residual(nn.Module):
    """Two convolutions and what came in, halved in side where `width` grows.

    dlib adds maps of different shapes by filling the smaller with zeros below, to the right and
    in the channels that it lacks.
    """

    def __init__(self, inputs: int, width: int) -> None:
        super().__init__()
        self.halves = inputs != width
        stride, padding = (2, 0) if self.halves else (1, 1)
        self.first = ConvAffine(inputs, width, 3, stride, padding)
        self.second = ConvAffine(width, width, 3, 1, 1)

    def forward(self, maps: Tensor) -> Tensor:
        """Maps [B, width, H', W']."""
        changed = self.second(F.relu(self.first(maps)))
        if not self.halves:
            return F.relu(changed + maps)
        kept = F.avg_pool2d(maps, 2)
        down, right = (kept.shape[side] - changed.shape[side] for side in (2, 3))
        channels = changed.shape[1] - kept.shape[1]
        changed = F.pad(changed, (0, right, 0, down))
        return F.relu(changed + F.pad(kept, (0, 0, 0, 0, 0, channels)))


class DlibResNet10(Backbone):
    """ResNet-10 of dlib-models (Cydral, CC0): five residual blocks, 64 to 256 channels.

    He et al., Deep Residual Learning for Image Recognition, CVPR 2016, for the body. Affine
    layers take the place of batch norm, so that batches of any size train alike. Packaged
    weights give the features whose 81-age layer is then in `packaged_head` (ages 0.25 and 1 to
    80 years: scale ``0.25,1-80``); together they answer as the packaged ONNX file does.

    Args:
        size: side of the chips in pixels; 64 is what the packaged weights are for.
    """

    name = "dlib-resnet10"
    features = 256
    early_features = 128
    stages = (
        ("stem.",),
        ("block1.",),
        ("block2.", "block3."),
        ("block4.", "block5."),
    )
    beyond = HEAD
    packaged_ages = "0.25,1-80"

    def __init__(self, size: int = 64) -> None:
        super().__init__()
        expected = load_card(CARD).input
        self.size = self.checked(size)
        self.mean = cast(RGBNumbers, tuple(value / 255 for value in expected.mean))
        self.std = cast(RGBNumbers, tuple(value / 255 for value in expected.std))
        self.stem = ConvAffine(3, 64, 7, 2, 0)
        self.block1 = Residual(64, 64)
        self.block2 = Residual(64, 128)
        self.block3 = Residual(128, 128)
        self.block4 = Residual(128, 256)
        self.block5 = Residual(256, 256)

    def with_early(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Features [B, 256], and those of the third block [B, 128]."""
        maps = F.max_pool2d(F.relu(self.stem(images)), 3, 2)
        early = self.block3(self.block2(self.block1(maps)))
        return self.block5(self.block4(early)).mean((2, 3)), early.mean((2, 3))
