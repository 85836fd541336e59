"""The plain network of C3AE, shared by three crops of a face."""

from __future__ import annotations

from typing import Final

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from agelens.models.backbones.base import Backbone

_SIDE: Final = 64
_WIDTH: Final = 32
CROPS: Final = (0.5, 0.75, 1.0)
"""Sides of the tight, the medium and the wide crop over the side of the chip."""


class C3AEBackbone(Backbone):
    """Zhang et al., C3AE: Exploring the Limits of Compact Model for Age Estimation, CVPR 2019.

    Three crops about the centre of the chip, each resized to 64 pixels, pass through one plain
    network: three unpadded 3x3 convolutions of 32 maps with batch norm, ReLU and 2x2 average
    pooling, a fourth without pooling, and a 1x1 convolution that leaves 4x4x32 = 512 numbers.
    Features are those of the tight, the medium and the wide crop after one another. Batch norm
    sees the crops of a batch together.

    The paper cuts its crops from the photo, about the detector's box, and does not give their
    sizes; here the wide one is the whole chip, which should have a margin therefore, and the
    others are three quarters and half of it.

    Args:
        size: side of the chips in pixels; at 128 the tight crop is not enlarged.
    """

    name = "c3ae"
    features = 3 * 4 * 4 * _WIDTH
    early_features = 3 * _WIDTH
    mean = (0.5, 0.5, 0.5)
    std = (0.5, 0.5, 0.5)
    stages = (("block1.",), ("block2.",), ("block3.",), ("block4.", "last."))

    def __init__(self, size: int = 128) -> None:
        super().__init__()
        self.size = self.checked(size)
        self.block1 = _block(3)
        self.block2 = _block(_WIDTH)
        self.block3 = _block(_WIDTH)
        self.block4 = _block(_WIDTH)
        self.last = nn.Conv2d(_WIDTH, _WIDTH, 1)

    def with_early(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Features [B, 1536], and pooled ones of each crop's second block [B, 96]."""
        crops = torch.cat([self._crop(images, share) for share in CROPS])
        early = F.avg_pool2d(self.block2(F.avg_pool2d(self.block1(crops), 2)), 2)
        maps = self.block4(F.avg_pool2d(self.block3(early), 2))
        return _beside(torch.flatten(self.last(maps), 1)), _beside(early.mean((2, 3)))

    def _crop(self, images: Tensor, share: float) -> Tensor:
        first = round(self.size * (1 - share) / 2)  # of the stated size: a constant when exported
        inner = images[..., first : self.size - first, first : self.size - first]
        return F.interpolate(inner, size=(_SIDE, _SIDE), mode="bilinear", align_corners=False)


def _block(inputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, _WIDTH, 3, bias=False), nn.BatchNorm2d(_WIDTH), nn.ReLU(inplace=True)
    )


def _beside(stacked: Tensor) -> Tensor:
    """Rows of the three crops [3B, N] as one row a face [B, 3N]."""
    apart = stacked.reshape(len(CROPS), -1, stacked.shape[1])
    return torch.flatten(apart.transpose(0, 1), 1)
