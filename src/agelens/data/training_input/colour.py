"""What a chip's pixels are: colour and sharpness, drawn for each sample of a batch.

All of it in float from 0 to 1, clipped after each step and rounded never; the steps of one
transform follow in the order written here, where torchvision's ColorJitter shuffles them.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torchvision.transforms.v2 import functional as v2

from agelens.data.training_input.geometry import RandomBatchTransform, draw


class RandomGrey(RandomBatchTransform):
    """Grey (ITU-R 601 luma, three equal channels) with probability `p`."""

    def change(self, images: Tensor, _: torch.Generator | None, /) -> Tensor:
        """See `RandomBatchTransform`."""
        return _grey(images)


class RandomSharpness(RandomBatchTransform):
    """Blended with a 3 x 3 blur: `factor` 1 changes nothing, 0 is the blur, 2 sharpens."""

    def __init__(self, factor: float, p: float = 0.5) -> None:
        super().__init__(p)
        self.factor = factor

    def change(self, images: Tensor, _: torch.Generator | None, /) -> Tensor:
        """See `RandomBatchTransform`."""
        sharper: Tensor = v2.adjust_sharpness(images, self.factor)
        return sharper


class RandomGamma(RandomBatchTransform):
    """Each value to the power of `low` to `high`."""

    def __init__(self, low: float, high: float, p: float = 0.5) -> None:
        super().__init__(p)
        self.low = low
        self.high = high

    def change(self, images: Tensor, generator: torch.Generator | None, /) -> Tensor:
        """See `RandomBatchTransform`."""
        return images.pow(draw(images, self.low, self.high, generator))


class RandomBrightnessContrast(RandomBatchTransform):
    """Values times 1 +- `contrast`, plus 0 +- `brightness`: a straight line for each sample."""

    def __init__(self, brightness: float, contrast: float, p: float = 0.5) -> None:
        super().__init__(p)
        self.brightness = brightness
        self.contrast = contrast

    def change(self, images: Tensor, generator: torch.Generator | None, /) -> Tensor:
        """See `RandomBatchTransform`."""
        slope = draw(images, 1 - self.contrast, 1 + self.contrast, generator)
        offset = draw(images, -self.brightness, self.brightness, generator)
        return images.mul(slope).add_(offset).clamp_(0, 1)


class RandomHueSaturationValue(RandomBatchTransform):
    """Hue turned by up to `hue_degrees`; saturation and value (0 to 1) shifted likewise."""

    def __init__(self, hue_degrees: float, saturation: float, value: float, p: float = 0.5) -> None:
        super().__init__(p)
        self.hue_degrees = hue_degrees
        self.saturation = saturation
        self.value = value

    def change(self, images: Tensor, generator: torch.Generator | None, /) -> Tensor:
        """See `RandomBatchTransform`."""
        limits = (self.hue_degrees, self.saturation, self.value)
        return shift_hsv(images, *(draw(images, -limit, limit, generator) for limit in limits))


class RandomColourJitter(RandomBatchTransform):
    """Torchvision's ColorJitter: factors of 1 +- each, hue turned by up to `hue` of a circle.

    Brightness blends with black, contrast with the chip's mean grey, saturation with its
    grey version; then the hue.
    """

    def __init__(
        self,
        brightness: float = 0.0,
        contrast: float = 0.0,
        saturation: float = 0.0,
        hue: float = 0.0,
        p: float = 1.0,
    ) -> None:
        super().__init__(p)
        self.brightness = brightness
        self.contrast = contrast
        self.saturation = saturation
        self.hue = hue

    def change(self, images: Tensor, generator: torch.Generator | None, /) -> Tensor:
        """See `RandomBatchTransform`."""
        if self.brightness:
            images = _blend(images, torch.zeros(()).to(images), self.brightness, generator)
        if self.contrast:
            mean = _grey(images, 1).mean(dim=(1, 2, 3), keepdim=True)
            images = _blend(images, mean, self.contrast, generator)
        if self.saturation:
            images = _blend(images, _grey(images, 1), self.saturation, generator)
        if self.hue:
            turn = draw(images, -360 * self.hue, 360 * self.hue, generator)
            images = shift_hsv(images, turn)
        return images


def shift_hsv(
    images: Tensor,
    hue_degrees: Tensor,
    saturation: Tensor | None = None,
    value: Tensor | None = None,
) -> Tensor:
    """`images` [B, 3, H, W] moved in hue, saturation and value by [B, 1, 1, 1] each.

    A grey counts as a red without saturation: a turn of its hue shows only where saturation
    is added too.
    """
    red, green, blue = images[:, :1], images[:, 1:2], images[:, 2:]
    low, high = torch.aminmax(images, dim=1, keepdim=True)
    chroma = high - low
    divisor = chroma.clamp(min=torch.finfo(images.dtype).tiny)
    hue = torch.where(  # in sixths of the circle
        red == high,
        (green - blue) / divisor,
        torch.where(green == high, (blue - red) / divisor + 2, (red - green) / divisor + 4),
    )
    hue = hue + hue_degrees / 60
    share = chroma / high.clamp(min=torch.finfo(images.dtype).tiny)
    if saturation is not None:
        share = (share + saturation).clamp_(0, 1)
    if value is not None:
        high = (high + value).clamp_(0, 1)
    channel = torch.tensor([5.0, 3.0, 1.0]).to(images).reshape(1, 3, 1, 1)
    phase = (hue + channel).remainder_(6)
    # How far each channel lies below the brightest: a trapezium along the circle of hues.
    below = torch.minimum(phase, 4 - phase).clamp_(0, 1)
    return high - high * share * below


def _grey(images: Tensor, channels: int = 3) -> Tensor:
    grey: Tensor = v2.rgb_to_grayscale(images, num_output_channels=channels)
    return grey


def _blend(
    images: Tensor, ground: Tensor, strength: float, generator: torch.Generator | None
) -> Tensor:
    factor = draw(images, max(0.0, 1 - strength), 1 + strength, generator)
    return torch.lerp(ground.expand_as(images), images, factor).clamp_(0, 1)
