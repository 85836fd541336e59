"""IR-50 without its last stage, as relative age position learning uses it."""

from __future__ import annotations

from torch import Tensor, nn

from agelens.models.backbones.base import Backbone


class ResidualUnit(nn.Module):
    """Batch norm, 3x3, PReLU, 3x3 with the stride, batch norm; and a shortcut."""

    def __init__(self, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        self.shortcut_layer: nn.Module
        if inputs == width:
            self.shortcut_layer = nn.MaxPool2d(1, stride)
        else:
            self.shortcut_layer = nn.Sequential(
                nn.Conv2d(inputs, width, 1, stride, bias=False), nn.BatchNorm2d(width)
            )
        self.res_layer = nn.Sequential(
            nn.BatchNorm2d(inputs),
            nn.Conv2d(inputs, width, 3, 1, 1, bias=False),
            nn.PReLU(width),
            nn.Conv2d(width, width, 3, stride, 1, bias=False),
            nn.BatchNorm2d(width),
        )

    def forward(self, maps: Tensor) -> Tensor:
        """Maps [B, width, H / stride, W / stride]."""
        changed: Tensor = self.res_layer(maps)
        kept: Tensor = self.shortcut_layer(maps)
        return changed + kept


class IR50(Backbone):
    """Three body stages of IR-50 (Deng et al., ArcFace, CVPR 2019): 256 maps of 14x14 at 112.

    Amirullaeva and Han, IEEE Access 2024, average the maps to 256 features and start from
    MS-Celeb-1M. Parameter names are those of that public file; the output layer that it also
    holds is left out. Mean and deviation are ImageNet's, as there.

    Args:
        size: side of the chips in pixels; any will do, 112 is the paper's.
    """

    name = "ir50"
    features = 256
    early_features = 128
    mean = (0.485, 0.456, 0.406)
    std = (0.229, 0.224, 0.225)
    stages = (("input_layer.",), ("body1.",), ("body2.",), ("body3.",))
    beyond = ("output_layer.",)

    def __init__(self, size: int = 112) -> None:
        super().__init__()
        self.size = self.checked(size)
        self.input_layer = nn.Sequential(
            nn.Conv2d(3, 64, 3, 1, 1, bias=False), nn.BatchNorm2d(64), nn.PReLU(64)
        )
        self.body1 = _body(64, 64, 3)
        self.body2 = _body(64, 128, 4)
        self.body3 = _body(128, 256, 14)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def with_early(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Features [B, 256], and those of the second stage [B, 128]."""
        early = self.body2(self.body1(self.input_layer(images)))
        return self.body3(early).mean((2, 3)), early.mean((2, 3))


def _body(inputs: int, width: int, units: int) -> nn.Sequential:
    return nn.Sequential(
        ResidualUnit(inputs, width, 2), *(ResidualUnit(width, width, 1) for _ in range(units - 1))
    )
