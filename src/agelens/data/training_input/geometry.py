"""Where a chip's pixels go: flips, turns and crops, drawn for each sample of a batch.

Chips are square, which the turns rely on.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional
from torchvision.transforms.v2 import functional as v2


class RandomBatchTransform(nn.Module, ABC):
    """Changes each sample of a batch with probability `p`, each in its own way.

    Takes and gives float32 [B, 3, S, S] from 0 to 1; the tensor given is changed in place
    or not, so use only what is returned.

    Raises:
        ValueError: `p` is no probability.
    """

    def __init__(self, p: float = 1.0) -> None:
        super().__init__()
        if not 0 <= p <= 1:
            raise ValueError(f"a probability is 0 to 1, got {p}")
        self.p = p

    def forward(self, images: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """The batch with the drawn samples changed; `generator` lives on the CPU."""
        if self.p == 1:
            return self.change(images, generator)
        drawn = torch.rand(len(images), generator=generator) < self.p
        rows = drawn.nonzero().squeeze(1).to(images.device)
        if len(rows):
            images[rows] = self.change(images[rows], generator)
        return images

    @abstractmethod
    def change(self, images: Tensor, generator: torch.Generator | None, /) -> Tensor:
        """All of `images` changed, clipped to 0..1."""

    def extra_repr(self) -> str:
        """The settings, for printing."""
        return ", ".join(f"{k}={v}" for k, v in vars(self).items() if not k.startswith("_"))


def draw(
    images: Tensor, low: float, high: float, generator: torch.Generator | None, ndim: int = 4
) -> Tensor:
    """One uniform number from `low` to `high` a sample, [B, 1, ...] with `ndim` axes."""
    numbers = torch.rand(len(images), generator=generator) * (high - low) + low
    return numbers.to(images.device).reshape(-1, *[1] * (ndim - 1))


Sampling = Literal["nearest", "bilinear"]
Padding = Literal["border", "reflection"]


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
    """Turned, scaled and shifted about the centre.

    Args:
        degrees: turned by up to this either way.
        scale: what is shown is e to the power of +- this times as wide.
        shift: moved by up to this share of the side along each axis.
        p: probability.
        padding: where nothing is: ``border`` repeats the rim, ``reflection`` mirrors the chip.
    """

    def __init__(
        self,
        degrees: float,
        scale: float,
        shift: float,
        p: float = 1.0,
        padding: Padding = "border",
    ) -> None:
        super().__init__(p)
        self.degrees = degrees
        self.scale = scale
        self.shift = shift
        self.padding = padding

    def change(self, images: Tensor, generator: torch.Generator | None, /) -> Tensor:
        """See `RandomBatchTransform`."""
        angle = draw(images, -self.degrees, self.degrees, generator, ndim=1).deg2rad()
        wide = draw(images, -self.scale, self.scale, generator, ndim=1).exp()
        # The grid runs from -1 to 1, so that a share of the side is twice as much on it.
        x, y = (2 * draw(images, -self.shift, self.shift, generator, ndim=1) for _ in "xy")
        cos, sin = angle.cos() * wide, angle.sin() * wide
        theta = torch.stack([cos, -sin, x, sin, cos, y], dim=1).reshape(-1, 2, 3)
        return _sampled(images, theta, "bilinear", padding=self.padding)


class RandomErasing(RandomBatchTransform):
    """A rectangle of noise over a part of the chip (Zhong et al., AAAI 2020).

    Args:
        low: least share of the area that is covered.
        high: largest share.
        p: probability.
    """

    def __init__(self, low: float = 0.02, high: float = 0.25, p: float = 0.5) -> None:
        super().__init__(p)
        self.low = low
        self.high = high

    def change(self, images: Tensor, generator: torch.Generator | None, /) -> Tensor:
        """See `RandomBatchTransform`."""
        side = images.shape[-1]
        area = draw(images, self.low, self.high, generator)
        stretch = draw(images, -0.5, 0.5, generator).exp()  # height over width: e^-1 to e
        places = torch.arange(side, device=images.device)
        covered = torch.ones(len(images), 1, side, side, dtype=torch.bool, device=images.device)
        for length, axis in ((area.sqrt() * stretch, 2), (area.sqrt() / stretch, 3)):
            pixels = length.clamp(max=1) * side
            start = draw(images, 0, 1, generator) * (side - pixels)
            line = places.reshape([-1 if one == axis else 1 for one in range(4)])
            covered &= (line >= start) & (line < start + pixels)
        noise = torch.rand(images.shape, generator=generator).to(images.device)
        return torch.where(covered, noise, images)


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


IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


class ChipTransform(nn.Module):
    """Chips uint8 [B, 3, H, W] to a network's input float32 [B, 3, size, size].

    Args:
        size: side of the result in pixels; smaller chips are enlarged.
        steps: augmentations of float32 [B, 3, S, S] in 0..1, applied in order.
        enlarge: chips are resized to this many times `size`, then cropped to it...
        random_crop: ...anywhere, or else at the centre.
        mean: subtracted from each channel.
        std: each channel is divided by it.
    """

    def __init__(
        self,
        size: int,
        *,
        steps: Sequence[nn.Module] = (),
        enlarge: float = 1.0,
        random_crop: bool = False,
        mean: Sequence[float] = IMAGENET_MEAN,
        std: Sequence[float] = IMAGENET_STD,
    ) -> None:
        super().__init__()
        self.size = size
        self.resized = round(size * enlarge)
        self.steps = nn.ModuleList(steps)
        self.crop = RandomCrop(size) if random_crop else None
        self.mean = list(mean)
        self.std = list(std)

    def forward(self, chips: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """The network's input; equal generators (on the CPU) give equal results."""
        if chips.shape[-2:] != (self.resized, self.resized):
            chips = v2.resize(chips, [self.resized, self.resized], antialias=True)
        images: Tensor = v2.to_dtype(chips, torch.float32, scale=True)
        if self.crop is not None:
            images = self.crop(images, generator)
        elif self.resized != self.size:
            images = v2.center_crop(images, [self.size, self.size])
        for step in self.steps:
            images = step(images, generator)
        normalised: Tensor = v2.normalize(images, self.mean, self.std)
        return normalised
