"""The Grad-CAM family against captum and against plain numpy."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from captum.attr import LayerGradCam

from agelens.errors import UnknownNameError, UsageError
from agelens.models.attribution import (
    CAMS,
    GRADIENT_METHODS,
    ClassActivationExplainer,
    ExplainedNetwork,
)
from agelens.models.attribution.class_activation import as_maps, map_layers
from agelens.models.backbones import build_backbone
from agelens.workflows.explain import CAM_METHODS, METHODS

Networks = Callable[..., ExplainedNetwork]
CHIP = np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype=np.uint8)


def maps_and_gradients(network: ExplainedNetwork) -> tuple[np.ndarray, np.ndarray]:
    """Maps of the last layer and their gradients, by a forward pass of our own."""
    model = network.model
    early = model.backbone.first(network.images(CHIP))
    maps = model.backbone.second(early).detach().requires_grad_()
    posterior = model.method.posterior(model.head(maps.mean((2, 3))))
    age = (posterior * torch.arange(20.0, 51.0)).sum()
    age.backward()
    assert maps.grad is not None
    return maps.detach().numpy()[0], maps.grad.numpy()[0]


def test_formulas_as_numpy_has_them(network_of: Networks) -> None:
    maps, gradients = maps_and_gradients(network_of())
    gradients = gradients + np.random.default_rng(1).normal(0, 0.01, gradients.shape)
    given = torch.from_numpy(maps).double(), torch.from_numpy(gradients).double()
    alpha = gradients**2 / (2 * gradients**2 + maps.sum(axis=(1, 2))[:, None, None] * gradients**3)
    weights = (alpha * np.maximum(gradients, 0)).sum(axis=(1, 2))
    expected = {
        "grad-cam": np.tensordot(gradients.mean(axis=(1, 2)), maps, 1),
        "hires-cam": (gradients * maps).sum(axis=0),
        "grad-cam++": np.maximum(np.tensordot(weights, maps, 1), 0),
        "layer-cam": np.maximum((np.maximum(gradients, 0) * maps).sum(axis=0), 0),
    }
    assert set(expected) == set(CAMS)
    for name, cam in CAMS.items():
        np.testing.assert_allclose(cam.formula(*given).numpy(), expected[name], rtol=1e-5)


def test_grad_cam_as_captum_has_it(network_of: Networks) -> None:
    network = network_of()
    reference = LayerGradCam(network.age, network.model.backbone.second)
    expected = reference.attribute(network.images(CHIP)).detach().numpy()[0, 0]
    explain = ClassActivationExplainer.of(network, "grad-cam", patch=1)
    assert explain.layer == "second"
    found = explain(CHIP)
    assert found.facts["first_order_years"] == pytest.approx(float(expected.sum()), rel=1e-5)
    np.testing.assert_allclose(
        found.values, network.onto_chip(expected.astype(np.float64), 16), rtol=1e-4, atol=1e-9
    )


def test_of_a_mean_over_places_each_place_has_the_mean_gradient(network_of: Networks) -> None:
    network = network_of()
    grad, hires = (
        ClassActivationExplainer.of(network, name, patch=3)(CHIP)
        for name in ("grad-cam", "hires-cam")
    )
    np.testing.assert_allclose(grad.values, hires.values, atol=1e-6)


@pytest.mark.parametrize("name", ["grad-cam++", "layer-cam"])
def test_relative_maps_run_to_one(name: str, network_of: Networks) -> None:
    found = ClassActivationExplainer.of(network_of(), name, patch=2)(CHIP)
    assert found.unit == "relative"
    assert found.values.min() >= 0
    assert found.values.max() == pytest.approx(1)


def test_the_age_is_the_networks_own_and_weights_are_left_alone(network_of: Networks) -> None:
    network = network_of()
    network.model.requires_grad_(False)  # as a frozen network has it
    found = ClassActivationExplainer.of(network, "grad-cam", patch=2)(CHIP)
    posterior = network.model.answer(network.images(CHIP))[0].double().numpy()
    assert found.estimate_years == pytest.approx(posterior @ np.arange(20, 51), abs=1e-4)
    assert all(weight.grad is None for weight in network.model.parameters())


def test_the_command_offers_all_methods() -> None:
    # It names them itself, since its help must not wait for torch.
    assert tuple(CAMS) == CAM_METHODS
    assert set(METHODS) == {"occlusion", *GRADIENT_METHODS}


def test_layers_by_name(network_of: Networks) -> None:
    network = network_of()
    assert {"first", "second"} <= set(map_layers(network))
    first = ClassActivationExplainer.of(network, "grad-cam", patch=2, layer="first")
    assert not np.allclose(
        first(CHIP).values, ClassActivationExplainer.of(network, "grad-cam", patch=2)(CHIP).values
    )
    with pytest.raises(UnknownNameError, match="second"):
        ClassActivationExplainer.of(network, "grad-cam", patch=2, layer="third")
    with pytest.raises(UnknownNameError, match="grad-cam"):
        ClassActivationExplainer.of(network, "score-cam", patch=2)


def test_tokens_of_a_transformer_are_places(network_of: Networks) -> None:
    vit = build_backbone("test_vit", size=64).backbone
    network = network_of(size=64, backbone=vit)
    layers = map_layers(network)
    # The class token is read, so that patches of the last block's output are not.
    assert layers[-1].endswith("norm1")
    found = ClassActivationExplainer.of(network, "grad-cam", patch=8)(
        np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    )
    assert np.ptp(found.values) > 0


def test_outputs_as_maps(network_of: Networks) -> None:
    backbone = network_of().model.backbone  # 6 features
    swin = torch.arange(2 * 3 * 3 * 6.0).view(2, 3, 3, 6)
    maps = as_maps(swin, backbone)
    assert maps is not None
    assert maps.shape == (2, 6, 3, 3)
    assert maps[1, 4, 2, 0] == swin[1, 2, 0, 4]
    tokens = as_maps(swin.flatten(1, 2), backbone)
    assert tokens is not None
    assert torch.equal(tokens, maps)
    for nothing in ((2, 6, 1, 1), (2, 8, 6), (2, 9, 18), (2, 6), (2, 6, 3, 4)):
        assert as_maps(torch.zeros(nothing), backbone) is None


def test_a_backbone_without_places_is_refused(network_of: Networks) -> None:
    network = network_of()
    backbone = network.model.backbone

    class Flat(type(backbone)):  # type: ignore[misc]
        def with_early(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            rows = images.flatten(1)
            return rows[:, :6], rows[:, :4]

    with pytest.raises(UsageError, match="use occlusion or integrated-gradients"):
        ClassActivationExplainer.of(network_of(backbone=Flat()), "grad-cam", patch=2)
