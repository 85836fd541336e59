"""ThinAgeNet and TinyAgeNet: VGG-16 with half and a quarter of the channels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from torch import Tensor, nn

from agelens.errors import UsageError
from agelens.models.backbones.base import Backbone

_CONVOLUTIONS = (2, 2, 3, 3, 3)


class ThinAgeNet(Backbone):
    """Gao et al., Age Estimation Using Expectation of Label Distribution Learning, IJCAI 2018.

    The convolutions of VGG-16, each with batch norm, at a compression rate of one half; no hidden
    fully connected layer. Pooling is hybrid: a maximum of 2x2 after each of the five groups, and
    an average over the 7x7 that are left of 224 pixels. Mean and deviation are those that the
    authors give for aligned faces (ChaLearn 2016).

    Args:
        size: side of the chips in pixels, 32 or more; the paper's is 224.
        convolutions: of each group. The TinyAge of ``yjl450/age-estimation-ldl-pytorch`` has two
            in the third, 2, 2, 2, 3, 3, and so 884,848 weights where ours has 921,840.

    Raises:
        UsageError: other than five groups of at least one convolution.
    """

    name = "thinagenet"
    widths: ClassVar[tuple[int, int, int, int, int]] = (32, 64, 128, 256, 256)
    mean = (0.5958, 0.4637, 0.4065)
    std = (0.2693, 0.2409, 0.2352)
    stages = tuple((f"group{number}.",) for number in range(1, 6))

    def __init__(self, size: int = 224, convolutions: Sequence[int] = _CONVOLUTIONS) -> None:
        super().__init__()
        if len(convolutions) != len(_CONVOLUTIONS) or min(convolutions) < 1:
            raise UsageError(f"convolutions are of five groups, 1 or more each: {convolutions}")
        self.size = self.checked(size)
        self.features = self.widths[-1]
        self.early_features = self.widths[2]
        inputs = (3, *self.widths)
        self.group1 = _group(inputs[0], inputs[1], convolutions[0])
        self.group2 = _group(inputs[1], inputs[2], convolutions[1])
        self.group3 = _group(inputs[2], inputs[3], convolutions[2])
        self.group4 = _group(inputs[3], inputs[4], convolutions[3])
        self.group5 = _group(inputs[4], inputs[5], convolutions[4])

    def with_early(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Features [B, features], and those of the third group [B, early_features]."""
        early = self.group3(self.group2(self.group1(images)))
        return self.group5(self.group4(early)).mean((2, 3)), early.mean((2, 3))


class TinyAgeNet(ThinAgeNet):
    """The same at a compression rate of one quarter."""

    name = "tinyagenet"
    widths = (16, 32, 64, 128, 128)


def _group(inputs: int, width: int, convolutions: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for place in range(convolutions):
        conv = nn.Conv2d(inputs if place == 0 else width, width, 3, padding=1, bias=False)
        nn.init.kaiming_normal_(conv.weight, mode="fan_out", nonlinearity="relu")
        layers += [conv, nn.BatchNorm2d(width), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers, nn.MaxPool2d(2))
