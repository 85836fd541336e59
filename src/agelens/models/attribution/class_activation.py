"""Class activation maps: a layer's maps, weighed by how the age moves with them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, Self

import numpy as np
import torch
from torch import Tensor, nn

from agelens.errors import UnknownNameError, UsageError
from agelens.evaluation.heat_maps.heat_map import HeatMap, Unit, per_patch
from agelens.models.attribution.network import ExplainedNetwork
from agelens.models.backbones.base import Backbone
from agelens.records import RGB, Floats

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


def grad_cam(maps: Tensor, gradients: Tensor) -> Tensor:
    """Selvaraju et al., Grad-CAM, ICCV 2017, without the last ReLU: [h, w] of [C, h, w].

    An age may go either way, so that what makes a face look younger is shown as well. Of a
    network that ends in a mean over places and a linear layer, the sum over places is the
    age but for the bias.
    """
    return (gradients.mean((1, 2), keepdim=True) * maps).sum(0)


def hires_cam(maps: Tensor, gradients: Tensor) -> Tensor:
    """Draelos and Carin, HiResCAM, 2020: each place by its own gradient, not the mean one."""
    return (gradients * maps).sum(0)


def grad_cam_plus_plus(maps: Tensor, gradients: Tensor) -> Tensor:
    """Chattopadhay et al., Grad-CAM++, WACV 2018: only what makes older; of no unit."""
    squares, cubes = gradients**2, gradients**3
    below = 2 * squares + maps.sum((1, 2), keepdim=True) * cubes
    alpha = torch.where(below != 0, squares / torch.where(below != 0, below, 1), 0)
    weights = (alpha * gradients.relu()).sum((1, 2), keepdim=True)
    return (weights * maps).sum(0).relu()


def layer_cam(maps: Tensor, gradients: Tensor) -> Tensor:
    """Jiang et al., LayerCAM, TIP 2021: each place by its own positive gradient; of no unit."""
    return (gradients.relu() * maps).sum(0).relu()


class Cam(NamedTuple):
    """A formula from maps and gradients [C, h, w] to a map [h, w], and the unit that has."""

    formula: Callable[[Tensor, Tensor], Tensor]
    unit: Unit


CAMS: Final[dict[str, Cam]] = {
    "grad-cam": Cam(grad_cam, "years"),
    "hires-cam": Cam(hires_cam, "years"),
    "grad-cam++": Cam(grad_cam_plus_plus, "relative"),
    "layer-cam": Cam(layer_cam, "relative"),
}


@dataclass(frozen=True, slots=True, eq=False)
class ClassActivationExplainer:
    """Maps of one layer; see `agelens.evaluation.heat_maps.heat_map.Explainer`.

    Args:
        network: to explain.
        name: of `CAMS`.
        layer: of `map_layers`.
        patch: that years are given for, in pixels of the chip.
    """

    network: ExplainedNetwork
    name: str
    layer: str
    patch: int

    @classmethod
    def of(
        cls, network: ExplainedNetwork, name: str, *, patch: int, layer: str | None = None
    ) -> Self:
        """With the last layer that has maps, unless one is named.

        Raises:
            UnknownNameError: no such method, or no such layer with maps.
            UsageError: the backbone has no layer with maps.
        """
        if name not in CAMS:
            raise UnknownNameError("class activation method", name, CAMS)
        return cls(network, name, chosen_layer(network, layer), patch)

    def __call__(self, chip: RGB) -> HeatMap:
        """The map of one aligned chip."""
        cam = CAMS[self.name]
        age, maps, gradients = self._backward(self.network.images(chip))
        places = cam.formula(maps, gradients).double().numpy()
        density = self.network.onto_chip(np.ascontiguousarray(places), len(chip))
        facts = {"first_order_years": float(places.sum())} if cam.unit == "years" else {}
        values = _scaled(density) if cam.unit == "relative" else per_patch(density, self.patch)
        return HeatMap(values, cam.unit, self.name, self.patch, age, facts)

    def with_shuffled_weights(self, share: float, seed: int) -> Self:
        """See `Explainer`."""
        other = self.network.shuffled(share, seed)
        return type(self)(other, self.name, self.layer, self.patch)

    def _backward(self, images: Tensor) -> tuple[float, Tensor, Tensor]:
        """The age, and the layer's maps and their gradients [C, h, w]."""
        backbone = self.network.model.backbone
        with recorded(backbone, {self.layer}) as outputs:
            # Frozen weights alone would leave nothing to go back through.
            age = self.network.age(images.requires_grad_())
        output = outputs[self.layer]
        (gradient,) = torch.autograd.grad(age.sum(), output)
        maps, gradients = (as_maps(values.detach(), backbone) for values in (output, gradient))
        if maps is None or gradients is None:
            raise ValueError(f"layer {self.layer} has no maps")
        return float(age.detach()), maps[0], gradients[0]


def _scaled(values: Floats) -> Floats:
    top = values.max()
    return values / top if top > 0 else values
