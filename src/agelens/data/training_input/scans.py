"""What time, prints and scanners do to a photo, drawn for each sample of a batch.

Family albums of the twentieth century were printed small, faded, and scanned: detail is
lost, dyes fade by channel, black is no longer black, grain and JPEG blocks come on top. All
of it in float from 0 to 1, clipped after each step.
"""

from __future__ import annotations

import math

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional
from torchvision.transforms.v2 import functional as v2

from agelens.data.training_input.geometry import RandomBatchTransform, draw


class RandomResolution(RandomBatchTransform):
    """Shrunk to `low` to `high` of its side and enlarged again: lost detail."""

    def __init__(self, low: float, high: float, p: float = 0.5) -> None:
        super().__init__(p)
        self.low = low
        self.high = high

    def change(self, images: Tensor, generator: torch.Generator | None, /) -> Tensor:
        """See `RandomBatchTransform`."""
        side = images.shape[-1]
        shares = draw(images, self.low, self.high, generator, ndim=1).tolist()
        pixels = images.permute(0, 2, 3, 1).cpu().numpy()
        for place, share in enumerate(shares):
            small = max(8, round(side * share))
            shrunk = cv2.resize(pixels[place], (small, small), interpolation=cv2.INTER_AREA)
            pixels[place] = cv2.resize(shrunk, (side, side), interpolation=cv2.INTER_LINEAR)
        return torch.from_numpy(pixels).to(images.device).permute(0, 3, 1, 2)


class RandomBlur(RandomBatchTransform):
    """A Gaussian blur whose deviation is `low` to `high` of the side."""

    def __init__(self, low: float, high: float, p: float = 0.5) -> None:
        super().__init__(p)
        self.low = low
        self.high = high

    def change(self, images: Tensor, generator: torch.Generator | None, /) -> Tensor:
        """See `RandomBatchTransform`."""
        batch, channels, side, _ = images.shape
        sigma = draw(images, self.low, self.high, generator, ndim=2) * side
        reach = max(1, math.ceil(2.5 * self.high * side))
        offsets = torch.arange(-reach, reach + 1, device=images.device)
        kernel = torch.exp(-0.5 * (offsets / sigma) ** 2)
        kernel = (kernel / kernel.sum(1, keepdim=True)).repeat_interleave(channels, 0)
        planes = batch * channels
        padded = functional.pad(
            images.reshape(1, planes, side, side), (reach,) * 4, mode="replicate"
        )
        across = functional.conv2d(padded, kernel.view(planes, 1, 1, -1), groups=planes)
        both = functional.conv2d(across, kernel.view(planes, 1, -1, 1), groups=planes)
        return both.reshape(images.shape)


class RandomTone(RandomBatchTransform):
    """A grey print, toned: brown by up to `strength`, blue by up to 0.3 of it."""

    def __init__(self, strength: float, p: float = 0.5) -> None:
        super().__init__(p)
        self.strength = strength

    def change(self, images: Tensor, generator: torch.Generator | None, /) -> Tensor:
        """See `RandomBatchTransform`."""
        tone = draw(images, -0.3 * self.strength, self.strength, generator)
        gains = torch.cat([1 + 0.6 * tone, torch.ones_like(tone), 1 - tone], 1)
        return (_grey(images) * gains).clamp(0, 1)


class RandomFadedDyes(RandomBatchTransform):
    """A gain and a gamma for each channel, and colours paler or stronger.

    Gains are 1 +- `gain`, gammas e to the power of +- `gamma`, the saturation is times
    1 - `desaturation` to 1 + `desaturation` / 2.
    """

    def __init__(self, gain: float, gamma: float, desaturation: float, p: float = 0.5) -> None:
        super().__init__(p)
        self.gain = gain
        self.gamma = gamma
        self.desaturation = desaturation

    def change(self, images: Tensor, generator: torch.Generator | None, /) -> Tensor:
        """See `RandomBatchTransform`."""
        saturation = draw(images, 1 - self.desaturation, 1 + self.desaturation / 2, generator)
        grey = _grey(images).expand_as(images)
        coloured = torch.lerp(grey, images, saturation).clamp(0, 1)
        gamma = torch.exp(_by_channel(images, self.gamma, generator))
        return (coloured.pow(gamma) * (1 + _by_channel(images, self.gain, generator))).clamp(0, 1)


class RandomFade(RandomBatchTransform):
    """Contrast about the chip's mean times `low` to `high`, then all values +- `offset`."""

    def __init__(self, low: float, high: float, offset: float, p: float = 0.5) -> None:
        super().__init__(p)
        self.low = low
        self.high = high
        self.offset = offset

    def change(self, images: Tensor, generator: torch.Generator | None, /) -> Tensor:
        """See `RandomBatchTransform`."""
        mean = images.mean((1, 2, 3), keepdim=True)
        contrast = draw(images, self.low, self.high, generator)
        offset = draw(images, -self.offset, self.offset, generator)
        return ((images - mean) * contrast + mean + offset).clamp(0, 1)


class RandomGrain(RandomBatchTransform):
    """Grey noise of deviation 0 to `sigma`, from single pixels to grains of two."""

    def __init__(self, sigma: float, p: float = 0.5) -> None:
        super().__init__(p)
        self.sigma = sigma

    def change(self, images: Tensor, generator: torch.Generator | None, /) -> Tensor:
        """See `RandomBatchTransform`."""
        batch, _, side, _ = images.shape
        fine = torch.randn(batch, 1, side, side, generator=generator)
        half = torch.randn(batch, 1, side // 2, side // 2, generator=generator)
        # 1.4: enlarging averages neighbours, which takes about a third of the deviation.
        coarse = functional.interpolate(half, size=(side, side), mode="bilinear") * 1.4
        share = draw(images, 0, 1, generator)
        sigma = draw(images, 0, self.sigma, generator)
        noise = torch.lerp(coarse.to(images.device), fine.to(images.device), share)
        return (images + noise * sigma).clamp(0, 1)


class RandomJPEG(RandomBatchTransform):
    """Encoded and decoded at a JPEG quality of `low` to `high`."""

    def __init__(self, low: int, high: int, p: float = 0.5) -> None:
        super().__init__(p)
        self.low = low
        self.high = high

    def change(self, images: Tensor, generator: torch.Generator | None, /) -> Tensor:
        """See `RandomBatchTransform`."""
        qualities = draw(images, self.low, self.high, generator, ndim=1).round().int().tolist()
        pixels = (images * 255).round().byte().permute(0, 2, 3, 1).cpu().numpy()
        for place, quality in enumerate(qualities):
            # The codec's channel order does not matter: it goes in as it comes out.
            encoded = cv2.imencode(
                ".jpg", np.ascontiguousarray(pixels[place]), [cv2.IMWRITE_JPEG_QUALITY, quality]
            )[1]
            pixels[place] = cv2.imdecode(encoded, cv2.IMREAD_COLOR)
        decoded = torch.from_numpy(pixels).to(images.device).permute(0, 3, 1, 2)
        return decoded.float().div_(255)


def _grey(images: Tensor) -> Tensor:
    """ITU-R 601 luma [B, 1, S, S]."""
    grey: Tensor = v2.rgb_to_grayscale(images)
    return grey


def _by_channel(images: Tensor, reach: float, generator: torch.Generator | None) -> Tensor:
    """Three numbers a sample within +- `reach`, [B, 3, 1, 1]."""
    numbers = torch.rand(len(images), 3, generator=generator) * 2 - 1
    return (numbers * reach).to(images.device).view(-1, 3, 1, 1)
