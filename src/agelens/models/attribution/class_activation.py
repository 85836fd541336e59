"""Class activation maps: a layer's maps, weighed by how the age moves with them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, NamedTuple, Self

import numpy as np
import torch
from torch import Tensor

from agelens.errors import UnknownNameError
from agelens.evaluation.heat_maps import HeatMap, per_patch
from agelens.evaluation.heat_maps.heat_map import Unit
from agelens.models.attribution.face_maps import as_maps, chosen_layer, recorded
from agelens.models.attribution.network import ExplainedNetwork
from agelens.records import RGB, Floats


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
    """Maps of one layer; see `agelens.evaluation.heat_maps.Explainer`.

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
