"""Augmentation of whole batches in which every sample has a fate of its own.

The random transforms of torchvision.transforms.v2 draw once a call: a batch tensor is
flipped, turned or tinted as one, which makes a batch alike within and batches unlike each
other. So what is random is drawn here, for each sample, and v2's kernels do the pixels
wherever they take a batch. Numbers come from a CPU generator, on any device the same.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn


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
