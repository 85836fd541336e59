"""iResNet: the residual network of face recognition."""

from __future__ import annotations

from typing import ClassVar, TypeAlias

import torch
from torch import Tensor, nn

from agelens.models.backbones.base import Backbone

Numbers4: TypeAlias = tuple[int, int, int, int]

WIDTHS = (64, 128, 256, 512)
EMBEDDING = 512


class PreNormBlock(nn.Module):
    """Batch norm, 3x3, batch norm, PReLU, 3x3 with the stride, batch norm; and a shortcut."""

    def __init__(self, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(inputs)
        self.conv1 = nn.Conv2d(inputs, width, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.prelu = nn.PReLU(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(width)
        self.downsample = (
            nn.Identity()
            if stride == 1
            else nn.Sequential(
                nn.Conv2d(inputs, width, 1, stride, bias=False), nn.BatchNorm2d(width)
            )
        )

    def forward(self, maps: Tensor) -> Tensor:
        """Maps [B, width, H / stride, W / stride]."""
        changed: Tensor = self.prelu(self.bn2(self.conv1(self.bn1(maps))))
        changed = self.bn3(self.conv2(changed))
        kept: Tensor = self.downsample(maps)
        return changed + kept


class EmbeddingNetwork(nn.Module):
    """The layers, under the names that insightface's public weights have."""

    def __init__(
        self, blocks: Numbers4, side: int, dropout: float, widths: Numbers4, embedding: int
    ) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, widths[0], 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(widths[0])
        self.prelu = nn.PReLU(widths[0])
        self.layer1 = _layer(widths[0], widths[0], blocks[0])
        self.layer2 = _layer(widths[0], widths[1], blocks[1])
        self.layer3 = _layer(widths[1], widths[2], blocks[2])
        self.layer4 = _layer(widths[2], widths[3], blocks[3])
        self.bn2 = nn.BatchNorm2d(widths[3])
        self.dropout = nn.Dropout(dropout)
        self.fc = nn.Linear(widths[3] * side * side, embedding)
        self.features = nn.BatchNorm1d(embedding)
        # Its scale would only undo the next layer's: margins and heads find it fixed at one.
        self.features.weight.requires_grad_(False)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """The embedding [B, E], and the maps of the second layer [B, widths[1], H / 4, W / 4]."""
        early = self.layer2(self.layer1(self.prelu(self.bn1(self.conv1(images)))))
        maps = self.bn2(self.layer4(self.layer3(early)))
        return self.features(self.fc(self.dropout(torch.flatten(maps, 1)))), early


def _layer(inputs: int, width: int, blocks: int) -> nn.Sequential:
    return nn.Sequential(
        PreNormBlock(inputs, width, 2), *(PreNormBlock(width, width, 1) for _ in range(blocks - 1))
    )


class IResNet(Backbone):
    """The residual network with improved blocks of ArcFace (Deng et al., CVPR 2019).

    A 3x3 stem without pooling, four layers of pre-normalised blocks, and a fully connected
    embedding of 512 numbers with batch norm, whose scale stays one. Parameter names are those of
    insightface's arcface_torch, so that its public weights load.

    Args:
        size: side of the chips in pixels. The embedding's weights fit one size: public ones 112.
        dropout: before the embedding.
        widths: channels of the four layers.
        embedding: numbers of the embedding.
    """

    blocks: ClassVar[Numbers4]
    mean = (0.5, 0.5, 0.5)
    std = (0.5, 0.5, 0.5)
    stages = (
        ("net.conv1.", "net.bn1.", "net.prelu."),
        ("net.layer1.",),
        ("net.layer2.",),
        ("net.layer3.",),
        ("net.layer4.",),
        ("net.bn2.", "net.fc.", "net.features."),
    )

    def __init__(
        self,
        size: int = 112,
        dropout: float = 0.0,
        *,
        widths: Numbers4 = WIDTHS,
        embedding: int = EMBEDDING,
    ) -> None:
        super().__init__()
        self.size = self.checked(size)
        self.features, self.early_features = embedding, widths[1]
        side = -(-size // 16)  # four strides of two, each rounding up
        self.net = EmbeddingNetwork(self.blocks, side, dropout, widths, embedding)

    def with_early(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """The embedding [B, 512], and pooled features of the second layer [B, 128]."""
        embedding, early = self.net(images)
        return embedding, early.mean((2, 3))


class IResNet18(IResNet):
    """iResNet of 18 layers."""

    name = "iresnet18"
    blocks = (2, 2, 2, 2)


class IResNet34(IResNet):
    """iResNet of 34 layers."""

    name = "iresnet34"
    blocks = (3, 4, 6, 3)


class IResNet50(IResNet):
    """iResNet of 50 layers: of two 3x3 convolutions each, where ResNet-50 has bottlenecks."""

    name = "iresnet50"
    blocks = (3, 4, 14, 3)


class IResNet100(IResNet):
    """iResNet of 100 layers."""

    name = "iresnet100"
    blocks = (3, 13, 30, 3)


class IResNet200(IResNet):
    """iResNet of 200 layers."""

    name = "iresnet200"
    blocks = (6, 26, 60, 6)
