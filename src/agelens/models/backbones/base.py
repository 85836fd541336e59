"""The contract of a backbone: pixels in, one feature vector a face out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import ClassVar, Final

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights

from agelens.errors import UsageError
from agelens.recorded import Recorded

RGBNumbers = tuple[float, float, float]


class Backbone(Recorded, nn.Module, ABC):
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

    def from_tfjs(self, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:  # noqa: ARG002
        """Our parameters from those of a TensorFlow.js graph of this network.

        Raises:
            UsageError: nobody keeps this network in that format.
        """
        raise UsageError(f"weights of {self.name!r} are not read from graphs of TensorFlow.js")

    def stage_parameters(self) -> tuple[dict[str, nn.Parameter], ...]:
        """The parameters of each stage by name, from the input up."""
        return tuple(
            {name: value for name, value in self.named_parameters() if name.startswith(prefixes)}
            for prefixes in self.stages
        )


_TOLERANCE: Final = 1e-3


def fold_batch_norm(backbone: Backbone) -> int:
    """Fold every batch norm of `backbone` that follows a convolution, in place; how many.

    The features stay the same, which is checked on random chips.

    Raises:
        UsageError: the network is not built of such pairs, or there are none.
    """
    training = backbone.training
    backbone.eval()
    chips = torch.randn(
        2, 3, backbone.size, backbone.size, generator=torch.Generator().manual_seed(0)
    )
    with torch.no_grad():
        before = backbone(chips)
    folded = _fold(backbone, None)[1]
    with torch.no_grad():
        off = (backbone(chips) - before).abs().max() / before.abs().max()
    if not folded or not off < _TOLERANCE:
        why = f"its features would change by {off:.2g}" if folded else "none follows a convolution"
        raise UsageError(f"batch norm of {type(backbone).__name__} cannot be folded: {why}")
    backbone.train(training)
    return folded


def _fold(module: nn.Module, before: nn.Conv2d | None) -> tuple[nn.Conv2d | None, int]:
    """Fold inside `module`; the last convolution seen, and how many were folded."""
    folded = 0
    for name, child in list(module.named_children()):
        if isinstance(child, nn.Conv2d):
            before = child
        elif isinstance(child, nn.BatchNorm2d):
            if before is None or before.out_channels != child.num_features:
                raise UsageError(f"batch norm {name} does not follow a convolution")
            _merge(before, child)
            # timm's batch norms hold the activation that comes after them.
            setattr(module, name, getattr(child, "act", nn.Identity()))
            folded += 1
        else:
            before, inside = _fold(child, before)
            folded += inside
    return before, folded


def _merge(convolution: nn.Conv2d, norm: nn.BatchNorm2d) -> None:
    mean, variance = norm.running_mean, norm.running_var
    if not isinstance(mean, Tensor) or not isinstance(variance, Tensor):
        raise UsageError("batch norm without running statistics cannot be folded")
    weight, bias = fuse_conv_bn_weights(
        convolution.weight, convolution.bias, mean, variance, norm.eps, norm.weight, norm.bias
    )
    convolution.weight = nn.Parameter(weight.detach())
    convolution.bias = nn.Parameter(bias.detach())
