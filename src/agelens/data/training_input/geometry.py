"""Where a chip's pixels go: flips, turns and crops, drawn for each sample of a batch.

Chips are square, which the turns rely on.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from agelens.data.training_input.random_choice import RandomBatchTransform, draw

Sampling = Literal["nearest", "bilinear"]


class RandomHorizontalFlip(RandomBatchTransform):
    """Left and right swapped with probability `p`."""

    def change(self, images: Tensor, _: torch.Generator | None, /) -> Tensor:
        """See `RandomBatchTransform`."""
        return images.flip(-1)


class RandomVerticalFlip(RandomBatchTransform):
    """Top and bottom swapped with probability `p`."""

    def change(self, images: Tensor, _: torch.Generator | None, /) -> Tensor:
        """See `RandomBatchTransform`."""
        return images.flip(-2)


class RandomRotation(RandomBatchTransform):
    """Turned about the centre by up to `degrees` either way; black where nothing is.

    `sampling` is ``nearest``, torchvision's own default, or ``bilinear``.
    """

    def __init__(self, degrees: float, p: float = 1.0, sampling: Sampling = "nearest") -> None:
        super().__init__(p)
        self.degrees = degrees
        self.sampling = sampling

    def change(self, images: Tensor, generator: torch.Generator | None, /) -> Tensor:
        """See `RandomBatchTransform`."""
        angle = draw(images, -self.degrees, self.degrees, generator, ndim=1).deg2rad()
        cos, sin, zero = angle.cos(), angle.sin(), torch.zeros_like(angle)
        theta = torch.stack([cos, -sin, zero, sin, cos, zero], dim=1).reshape(-1, 2, 3)
        return _sampled(images, theta, self.sampling)


class RandomZoom(RandomBatchTransform):
    """A square crop of `least` to 1 times the side, anywhere, enlarged to the whole chip."""

    def __init__(self, least: float, p: float = 1.0) -> None:
        super().__init__(p)
        self.least = least

    def change(self, images: Tensor, generator: torch.Generator | None, /) -> Tensor:
        """See `RandomBatchTransform`."""
        side = draw(images, self.least, 1, generator, ndim=1)
        x, y = (draw(images, -1, 1, generator, ndim=1) * (1 - side) for _ in "xy")
        zero = torch.zeros_like(side)
        theta = torch.stack([side, zero, x, zero, side, y], dim=1).reshape(-1, 2, 3)
        return _sampled(images, theta, "bilinear")


class RandomSimilarity(RandomBatchTransform):
    """Turned, scaled and shifted about the centre; the rim is repeated where nothing is.

    Args:
        degrees: turned by up to this either way.
        scale: what is shown is e to the power of +- this times as wide.
        shift: moved by up to this share of the side along each axis.
        p: probability.
    """

    def __init__(self, degrees: float, scale: float, shift: float, p: float = 1.0) -> None:
        super().__init__(p)
        self.degrees = degrees
        self.scale = scale
        self.shift = shift

    def change(self, images: Tensor, generator: torch.Generator | None, /) -> Tensor:
        """See `RandomBatchTransform`."""
        angle = draw(images, -self.degrees, self.degrees, generator, ndim=1).deg2rad()
        wide = draw(images, -self.scale, self.scale, generator, ndim=1).exp()
        # The grid runs from -1 to 1, so that a share of the side is twice as much on it.
        x, y = (2 * draw(images, -self.shift, self.shift, generator, ndim=1) for _ in "xy")
        cos, sin = angle.cos() * wide, angle.sin() * wide
        theta = torch.stack([cos, -sin, x, sin, cos, y], dim=1).reshape(-1, 2, 3)
        return _sampled(images, theta, "bilinear", padding="border")


class RandomCrop(nn.Module):
    """A crop of `size` by `size` pixels anywhere in each sample."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size

    def forward(self, images: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """The crops [B, 3, size, size] of `images` [B, 3, H, W]."""
        windows = images.unfold(2, self.size, 1).unfold(3, self.size, 1)  # a view: nothing copied
        top, left = (
            torch.randint(windows.shape[axis], (len(images),), generator=generator)
            for axis in (2, 3)
        )
        return windows[torch.arange(len(images)), :, top, left]


def _sampled(images: Tensor, theta: Tensor, sampling: Sampling, padding: str = "zeros") -> Tensor:
    grid = functional.affine_grid(theta, list(images.shape), align_corners=False)
    return functional.grid_sample(
        images, grid, mode=sampling, padding_mode=padding, align_corners=False
    )
