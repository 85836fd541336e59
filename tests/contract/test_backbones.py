"""What every backbone promises: our own, and the networks of timm that recipes use."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import safetensors.torch
import torch
from torch import Tensor

from agelens.errors import UnknownNameError
from agelens.models.backbones import BACKBONES, Backbone, build_backbone

# At the least side that leaves more than one number a map, where batch norm has something to do.
SMALL = {
    "iresnet18": 32,
    "ir50": 32,
    "thinagenet": 64,
    "tinyagenet": 64,
    "ssr-net": 38,
    "c3ae": 32,
    "dlib-resnet10": 64,
    "mobilenet-face": 64,
    "resnet18": 64,
    "resnet50": 64,
    "seresnext50_32x4d": 64,
    "efficientnet_b0": 64,
    "tf_efficientnet_lite0": 64,
    "vit_small_patch14_dinov2": 42,
    "swin_tiny_patch4_window7_224": 64,
}
# Only their shapes are looked at, without memory for their numbers.
BIG = (
    "iresnet34",
    "iresnet50",
    "iresnet100",
    "iresnet200",
    "resnet34",
    "resnet101",
    "resnet152",
    "vgg16",
)


@pytest.fixture(scope="module", params=SMALL)
def backbone(request: pytest.FixtureRequest) -> Iterator[Backbone]:
    torch.manual_seed(3)
    yield build_backbone(request.param, size=SMALL[request.param]).backbone.eval()


def chips(backbone: Backbone, batch: int = 2) -> Tensor:
    generator = torch.Generator().manual_seed(4)
    return torch.randn(batch, 3, backbone.size, backbone.size, generator=generator)


def features(backbone: Backbone, images: Tensor) -> Tensor:
    with torch.inference_mode():
        return backbone(images)


def test_every_name_is_tried() -> None:
    assert set(BACKBONES) <= {*SMALL, *BIG}


def test_features_have_the_stated_widths(backbone: Backbone) -> None:
    with torch.inference_mode():
        last, early = backbone.with_early(chips(backbone))
    assert last.shape == (2, backbone.features)
    assert early.shape == (2, backbone.early_features)
    assert last.dtype == early.dtype == torch.float32
    assert torch.isfinite(last).all()
    assert torch.isfinite(early).all()


@pytest.mark.parametrize("name", BIG)
def test_features_of_big_ones_have_the_stated_widths(name: str) -> None:
    with torch.device("meta"):
        backbone = build_backbone(name).backbone.eval()
        last, early = backbone.with_early(torch.empty(2, 3, backbone.size, backbone.size))
    assert last.shape == (2, backbone.features)
    assert early.shape == (2, backbone.early_features)
    assert named_once(backbone)


def test_forward_gives_the_features_of_with_early(backbone: Backbone) -> None:
    images = chips(backbone)
    with torch.inference_mode():
        torch.testing.assert_close(backbone(images), backbone.with_early(images)[0])


def test_evaluation_repeats_itself(backbone: Backbone) -> None:
    images = chips(backbone)
    assert torch.equal(features(backbone, images), features(backbone, images))


def test_a_face_is_judged_by_itself_in_evaluation(backbone: Backbone) -> None:
    images = chips(backbone, 3)
    alone = features(backbone, images[1:2])
    together = features(backbone, images)
    torch.testing.assert_close(
        together[1:2], alone, rtol=1e-4, atol=1e-5 * float(alone.abs().max())
    )
    assert not torch.allclose(together[0], together[1])


def named_once(backbone: Backbone) -> bool:
    names = [name for name, _ in backbone.named_parameters()]
    staged = [name for stage in backbone.stage_parameters() for name in stage]
    return sorted(names) == sorted(staged) and all(backbone.stage_parameters())


def test_stages_name_every_parameter_once(backbone: Backbone) -> None:
    assert len(backbone.stages) >= 4
    assert named_once(backbone)


def test_stages_go_from_the_input_up(backbone: Backbone) -> None:
    reached = first_uses(backbone)
    order = [
        min(place for name, place in reached.items() if name.startswith(prefixes))
        for prefixes in backbone.stages
    ]
    assert order == sorted(order)


def first_uses(backbone: Backbone) -> dict[str, int]:
    """When each module with parameters of its own is first called."""
    reached: dict[str, int] = {}

    def noting(name: str) -> Callable[..., None]:
        def note(*_: object) -> None:
            reached.setdefault(name, len(reached))

        return note

    hooks = [
        module.register_forward_pre_hook(noting(f"{name}."))
        for name, module in backbone.named_modules()
        if name and next(module.parameters(recurse=False), None) is not None
    ]
    features(backbone, chips(backbone))
    for hook in hooks:
        hook.remove()
    return reached


def test_gradients_reach_every_parameter(backbone: Backbone) -> None:
    torch.manual_seed(5)
    trained = copy.deepcopy(backbone).train()
    with torch.no_grad():  # networks that start with branches of zero pass nothing through them
        for parameter in trained.parameters():
            if parameter.ndim == 1:
                parameter.add_(0.1 * torch.randn_like(parameter))
    last, early = trained.with_early(chips(trained, 3))
    (last.square().sum() * torch.rand(()) + (last * torch.randn_like(last)).sum()).backward()
    without = [
        name
        for name, parameter in trained.named_parameters()
        if parameter.requires_grad and (parameter.grad is None or not parameter.grad.any())
    ]
    assert without == []
    assert all(
        torch.isfinite(parameter.grad).all()
        for parameter in trained.parameters()
        if parameter.grad is not None
    )
    assert early.requires_grad


def test_a_frozen_stage_gets_no_gradient(backbone: Backbone) -> None:
    *first, last = backbone.stage_parameters()
    for stage in first:
        for parameter in stage.values():
            parameter.requires_grad_(False)
    backbone(chips(backbone)).sum().backward()
    assert all(parameter.grad is None for stage in first for parameter in stage.values())
    assert any(parameter.grad is not None for parameter in last.values())
    backbone.zero_grad()


def test_weights_go_through_a_file(backbone: Backbone, tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    safetensors.torch.save_file(backbone.state_dict(), path)
    again, report = build_backbone(backbone.name, weights=path, size=backbone.size)
    assert len(report.of("taken")) == len(report.lines) == len(backbone.state_dict())
    images = chips(backbone)
    assert torch.equal(features(backbone, images), features(again.eval(), images))


def test_says_what_its_pixels_are(backbone: Backbone) -> None:
    assert backbone.size == SMALL[backbone.name]
    assert len(backbone.mean) == len(backbone.std) == 3
    assert all(0 <= value <= 1 for value in backbone.mean)
    assert all(value > 0 and math.isfinite(value) for value in backbone.std)


def test_an_unknown_name_lists_ours_and_the_nearest_of_timm() -> None:
    with pytest.raises(UnknownNameError) as caught:
        build_backbone("resnet51")
    message = str(caught.value)
    assert all(name in message for name in BACKBONES)
    assert "resnet50" in message.partition("network of timm")[2]
