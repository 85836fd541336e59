"""What a network's input goes through: bytes to floats, resized, augmented, normalised."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torchvision.transforms.v2 import functional as v2

from agelens.data.training_input.geometry import RandomCrop

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
