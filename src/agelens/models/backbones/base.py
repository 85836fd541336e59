"""The contract of a backbone: pixels in, one feature vector a face out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

from torch import Tensor, nn

from agelens.errors import UsageError

RGBNumbers = tuple[float, float, float]


class Backbone(nn.Module, ABC):
    """A network from chips float32 [B, 3, size, size] to features [B, features].

    What a subclass sets:

    `name` is what the backbone is called by. `features` and `early_features` are widths.
    `size` is the side in pixels that the network was made for. `mean` and `std` are of pixels
    from 0 to 1, RGB, as its starting weights expect them. `stages` are prefixes of parameter
    names from the input up, a tuple for each stage, for freezing and for smaller steps in early
    stages: a parameter belongs to the stage with a prefix that its name `startswith`, and
    together they name every parameter once. A prefix ends in a dot, or is a whole name.

    `beyond` are such prefixes too, of what public files of this network hold after the features
    (a classifier), which is left out when they are loaded. `packaged_head` is set by packaged
    weights that come with an age layer: weight [K, features] and bias [K] of the K
    `packaged_ages`, an age scale.
    """

    smallest: ClassVar[int] = 32
    """The least side in pixels."""

    name: str
    features: int
    early_features: int
    size: int
    mean: RGBNumbers
    std: RGBNumbers
    stages: tuple[tuple[str, ...], ...]
    beyond: tuple[str, ...] = ()
    packaged_head: tuple[Tensor, Tensor] | None = None
    packaged_ages: str = ""

    def forward(self, images: Tensor) -> Tensor:
        """Features [B, features] of normalised chips [B, 3, H, W]."""
        return self.with_early(images)[0]

    @abstractmethod
    def with_early(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Features [B, features], and pooled ones of an early stage [B, early_features]."""

    def checked(self, size: int) -> int:
        """`size`, where this backbone can have it.

        Raises:
            UsageError: it is below `smallest`.
        """
        if size < self.smallest:
            raise UsageError(
                f"{self.name} takes chips of {self.smallest} pixels or more, got {size}"
            )
        return size

    def resampled(self, name: str, weight: Tensor) -> Tensor | None:  # noqa: ARG002
        """`weight` in the shape of our parameter `name`, where there is a right way to do that.

        None where there is not, which is everywhere but for position embeddings.
        """
        return None

    def stage_parameters(self) -> tuple[dict[str, nn.Parameter], ...]:
        """The parameters of each stage by name, from the input up."""
        return tuple(
            {name: value for name, value in self.named_parameters() if name.startswith(prefixes)}
            for prefixes in self.stages
        )
