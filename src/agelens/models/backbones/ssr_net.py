"""The two-stream network of SSR-Net."""

from __future__ import annotations

from typing import Final

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from agelens.models.backbones.base import Backbone

_FUSED: Final = 10
"""Maps of each stream that are multiplied in a stage."""


class SSRNetBackbone(Backbone):
    """The streams and stages of SSR-Net.

    Yang et al., SSR-Net: A Compact Soft Stagewise Regression Network for Age Estimation, IJCAI
    2018.

    Two streams of four unpadded 3x3 convolutions see the same chip: one of 32 maps with batch
    norm, ReLU and average pooling, one of 16 with batch norm, tanh and maximum pooling. Three
    stages fuse them: the first takes what both streams end with, the second what they hold after
    their second pooling (pooled by 4 again), the third after their first (by 8). In each stage a
    1x1 convolution with ReLU brings either stream to 10 maps, and the two are multiplied number
    by number. Features are the three stages' products after one another, flattened;
    `stage_features` says how many each stage has: 160, 90 and 90 at 64 pixels.

    The authors' code also sends each stream of a stage through a ReLU layer with as many units as
    the stage has bins, and multiplies those for the bins. With three units, all of them are dead
    at the start in 42 of 100 draws (each pair lives in one of four), and nothing revives them; so
    the bins are made of the same product as the width here.

    Args:
        size: side of the chips in pixels, 38 or more; 64 is the paper's.
    """

    name = "ssr-net"
    smallest = 38
    early_features = 48
    mean = (0.5, 0.5, 0.5)
    std = (0.5, 0.5, 0.5)
    stages = (
        ("relu1.", "tanh1."),
        ("relu2.", "tanh2."),
        ("relu3.", "tanh3."),
        ("relu4.", "tanh4."),
        ("fuse_relu.", "fuse_tanh."),
    )

    def __init__(self, size: int = 64) -> None:
        super().__init__()
        self.size = self.checked(size)
        sides = _sides(size)
        self.stage_features = tuple(
            _FUSED * side * side for side in (sides[2] - 2, sides[1] // 4, sides[0] // 8)
        )
        self.features = sum(self.stage_features)
        self.relu1, self.tanh1 = _convolution(3, 32), _convolution(3, 16)
        self.relu2, self.tanh2 = _convolution(32, 32), _convolution(16, 16)
        self.relu3, self.tanh3 = _convolution(32, 32), _convolution(16, 16)
        self.relu4, self.tanh4 = _convolution(32, 32), _convolution(16, 16)
        self.fuse_relu = nn.ModuleList(nn.Conv2d(32, _FUSED, 1) for _ in range(3))
        self.fuse_tanh = nn.ModuleList(nn.Conv2d(16, _FUSED, 1) for _ in range(3))

    def with_early(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Features [B, features], and those of both streams after the second pooling [B, 48]."""
        relu1 = F.avg_pool2d(F.relu(self.relu1(images)), 2)
        relu2 = F.avg_pool2d(F.relu(self.relu2(relu1)), 2)
        relu4 = F.relu(self.relu4(F.avg_pool2d(F.relu(self.relu3(relu2)), 2)))
        tanh1 = F.max_pool2d(torch.tanh(self.tanh1(images)), 2)
        tanh2 = F.max_pool2d(torch.tanh(self.tanh2(tanh1)), 2)
        tanh4 = torch.tanh(self.tanh4(F.max_pool2d(torch.tanh(self.tanh3(tanh2)), 2)))
        stages = (
            self._fused(0, relu4, tanh4, 1),
            self._fused(1, relu2, tanh2, 4),
            self._fused(2, relu1, tanh1, 8),
        )
        early = torch.cat((relu2.mean((2, 3)), tanh2.mean((2, 3))), dim=1)
        return torch.cat(stages, dim=1), early

    def _fused(self, stage: int, relu: Tensor, tanh: Tensor, pooled: int) -> Tensor:
        first = F.avg_pool2d(F.relu(self.fuse_relu[stage](relu)), pooled)
        second = F.max_pool2d(F.relu(self.fuse_tanh[stage](tanh)), pooled)
        return torch.flatten(first * second, 1)


def _convolution(inputs: int, width: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(inputs, width, 3, bias=False), nn.BatchNorm2d(width))


def _sides(size: int) -> tuple[int, int, int]:
    """The side of the maps after each pooling."""
    first = (size - 2) // 2
    second = (first - 2) // 2
    return first, second, (second - 2) // 2
