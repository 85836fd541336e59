"""Layers that keep places apart: maps of a convolution, tokens of a transformer."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import torch
from torch import Tensor, nn

from agelens.errors import UnknownNameError, UsageError
from agelens.models.attribution.network import ExplainedNetwork
from agelens.models.backbones.base import Backbone

_SMALLEST: Final = 2
"""Places a side: a single one says nothing of where."""


def as_maps(output: Tensor, backbone: Backbone) -> Tensor | None:
    """`output` of a layer as maps [B, C, h, h], or None where it has no places.

    Convolutions give [B, C, h, h], Swin and its like [B, h, h, C], and vision transformers tokens
    [B, before + h * h, C], of which those before the patches (a class token) are left out.
    """
    net: Any = getattr(backbone, "net", None)
    if output.ndim == 4:
        if output.shape[2] == output.shape[3] >= _SMALLEST:
            return output
        if output.shape[1] == output.shape[2] >= _SMALLEST:
            return output.permute(0, 3, 1, 2)
        return None
    before = int(getattr(net, "num_prefix_tokens", 0))
    # Queries and keys are tokens too, but wider than what a block hands on.
    if output.ndim != 3 or output.shape[2] != backbone.features:
        return None
    side = math.isqrt(max(0, output.shape[1] - before))
    if side < _SMALLEST or side * side != output.shape[1] - before:
        return None
    return output[:, before:].transpose(1, 2).reshape(len(output), -1, side, side)


@contextmanager
def recorded(backbone: Backbone, names: set[str] | None = None) -> Iterator[dict[str, Tensor]]:
    """Outputs of the backbone's layers by name, in the order in which they were finished.

    Args:
        backbone: that will see images.
        names: only these layers.
    """
    outputs: dict[str, Tensor] = {}

    def hook(name: str) -> Any:
        def keep(_: nn.Module, __: Any, output: Any) -> None:
            if isinstance(output, Tensor):
                outputs.pop(name, None)  # a layer that is used twice counts where it was last
                outputs[name] = output

        return keep

    handles = [
        module.register_forward_hook(hook(name))
        for name, module in backbone.named_modules()
        if name and (names is None or name in names)
    ]
    try:
        yield outputs
    finally:
        for handle in handles:
            handle.remove()


def map_layers(network: ExplainedNetwork) -> list[str]:
    """Layers of the backbone with maps that the age hangs on, from the chip to the answer.

    The last blocks of a transformer that reads its class token hand on patches that nobody
    reads any more: those are left out.
    """
    backbone = network.model.backbone
    size = network.transform.size
    noise = torch.randn((1, 3, size, size), generator=torch.Generator().manual_seed(0))
    with recorded(backbone) as outputs:
        age = network.age(noise.requires_grad_())
    maps = {name: output for name, output in outputs.items() if output.requires_grad}
    maps = {name: output for name, output in maps.items() if as_maps(output, backbone) is not None}
    if not maps:
        return []
    gradients = torch.autograd.grad(age.sum(), list(maps.values()), allow_unused=True)
    return [
        name
        for name, gradient in zip(maps, gradients, strict=True)
        if gradient is not None and _any(as_maps(gradient, backbone))
    ]


def chosen_layer(network: ExplainedNetwork, name: str | None) -> str:
    """`name`, or the last layer with maps.

    Raises:
        UnknownNameError: no layer of that name has maps; the message lists those that do.
        UsageError: the backbone has none at all.
    """
    layers = map_layers(network)
    if not layers:
        raise UsageError(
            f"{network.model.backbone.name} has no layer that keeps the places of a face apart, "
            "so there is no Grad-CAM of it: use occlusion or integrated-gradients"
        )
    if name is not None and name not in layers:
        raise UnknownNameError("layer", name, layers)
    return layers[-1] if name is None else name


def _any(values: Tensor | None) -> bool:
    return values is not None and bool(values.count_nonzero())
