"""MobileNet from its TensorFlow.js graph, against the graph reckoned step by step."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from agelens.errors import CardError, UsageError
from agelens.models.backbones import build_backbone
from agelens.models.backbones.mobilenet_face import MobileNetFace
from agelens.models.backbones.weights import read_tfjs

WIDTHS = (32, 64, 128, 128, 256, 256, 512, 512, 512, 512, 512, 512, 1024, 1024)
STRIDES = (1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1)


def shapes() -> dict[str, tuple[int, ...]]:
    """Every weight of the public graph by its name there."""
    found: dict[str, tuple[int, ...]] = {
        "age_pred/kernel": (256, 100),
        "age_pred/bias": (100,),
        "feats/kernel": (1024, 256),
        "feats/bias": (256,),
        "conv1/convolution/merged_input": (3, 3, 3, 32),
        "conv1_bn/batchnorm_1/sub": (32,),
    }
    for place, (before, width) in enumerate(itertools.pairwise(WIDTHS), start=1):
        found[f"conv_dw_{place}/depthwise_kernel"] = (3, 3, before, 1)
        found[f"conv_dw_{place}_bn/batchnorm_1/mul"] = (before,)
        found[f"conv_dw_{place}_bn/batchnorm_1/sub"] = (before,)
        found[f"conv_pw_{place}/convolution/merged_input"] = (1, 1, before, width)
        found[f"conv_pw_{place}_bn/batchnorm_1/sub"] = (width,)
    return found


def write_graph(folder: Path, weights: dict[str, np.ndarray]) -> Path:
    """A graph of TensorFlow.js, its bytes in two files."""
    listed = [{"name": n, "shape": list(w.shape), "dtype": "float32"} for n, w in weights.items()]
    listed.append({"name": "axes", "shape": [2], "dtype": "int32"})
    content = b"".join(w.astype("<f4").tobytes() for w in weights.values())
    content += np.array([1, 2], dtype="<i4").tobytes()
    (folder / "a.bin").write_bytes(content[:1000])
    (folder / "b.bin").write_bytes(content[1000:])
    manifest = [{"paths": ["a.bin", "b.bin"], "weights": listed}]
    path = folder / "graph.json"
    path.write_text(json.dumps({"format": "graph-model", "weightsManifest": manifest}))
    return path


@pytest.fixture(scope="module")
def graph(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Tensor]]:
    """A graph of random weights, and the weights."""
    random = np.random.default_rng(3)
    weights = {
        name: (random.standard_normal(shape) * (2 / max(1, np.prod(shape[:-1]))) ** 0.5).astype(
            np.float32
        )
        for name, shape in shapes().items()
    }
    path = write_graph(tmp_path_factory.mktemp("graph"), weights)
    return path, {name: torch.from_numpy(array) for name, array in weights.items()}


def same_padded(maps: Tensor, kernel: Tensor, stride: int, groups: int = 1) -> Tensor:
    """A convolution as TensorFlow's SAME has it, by its own formula."""
    pads = []
    for side in (maps.shape[3], maps.shape[2]):
        total = max((-(-side // stride) - 1) * stride + kernel.shape[2] - side, 0)
        pads += [total // 2, total - total // 2]
    return F.conv2d(F.pad(maps, pads), kernel, stride=stride, groups=groups)


def by_hand(weights: dict[str, Tensor], rgb: Tensor) -> Tensor:
    """The graph's 256 features of pixels 0 to 255, node after node as the graph lists them."""
    means = torch.tensor([103.939, 116.779, 123.68]).view(1, 3, 1, 1)
    kernel = weights["conv1/convolution/merged_input"].permute(3, 2, 0, 1)
    maps = same_padded(rgb.flip(1) - means, kernel, 2)
    maps = (maps + weights["conv1_bn/batchnorm_1/sub"].view(1, -1, 1, 1)).clamp(0, 6)
    for place, stride in enumerate(STRIDES, start=1):
        kernel = weights[f"conv_dw_{place}/depthwise_kernel"].permute(2, 3, 0, 1)
        maps = same_padded(maps, kernel, stride, groups=maps.shape[1])
        maps = maps * weights[f"conv_dw_{place}_bn/batchnorm_1/mul"].view(1, -1, 1, 1)
        maps = (maps + weights[f"conv_dw_{place}_bn/batchnorm_1/sub"].view(1, -1, 1, 1)).clamp(0, 6)
        kernel = weights[f"conv_pw_{place}/convolution/merged_input"].permute(3, 2, 0, 1)
        maps = same_padded(maps, kernel, 1)
        maps = (maps + weights[f"conv_pw_{place}_bn/batchnorm_1/sub"].view(1, -1, 1, 1)).clamp(0, 6)
    pooled = maps.mean((2, 3))
    return (pooled @ weights["feats/kernel"] + weights["feats/bias"]).relu()


@pytest.mark.parametrize("size", [64, 112])
def test_features_are_those_of_the_graph(size: int, graph: tuple[Path, dict[str, Tensor]]) -> None:
    path, weights = graph
    backbone = build_backbone("mobilenet-face", weights=str(path), size=size).backbone.eval()
    rgb = torch.randint(0, 256, (2, 3, size, size), generator=torch.Generator().manual_seed(1))
    mean, std = (torch.tensor(n).view(1, 3, 1, 1) for n in (backbone.mean, backbone.std))
    with torch.inference_mode():
        found = backbone((rgb / 255 - mean) / std)
        expected = by_hand(weights, rgb.float())
    assert expected.count_nonzero() > 20
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-3)


def test_the_age_layer_becomes_a_starting_head(graph: tuple[Path, dict[str, Tensor]]) -> None:
    path, weights = graph
    backbone = build_backbone("mobilenet-face", weights=str(path), size=32).backbone
    assert backbone.packaged_head is not None
    weight, bias = backbone.packaged_head
    torch.testing.assert_close(weight, weights["age_pred/kernel"].T)
    torch.testing.assert_close(bias, weights["age_pred/bias"])
    assert backbone.packaged_ages == "1-100"


def test_a_crop_is_the_centre_and_an_inner_side_the_whole_chip(
    graph: tuple[Path, dict[str, Tensor]],
) -> None:
    plain, tight, wide = (
        build_backbone("mobilenet-face", weights=str(graph[0]), size=size, **seen).backbone.eval()
        for size, seen in ((64, {}), (80, {"crop": 64}), (80, {"inner": 64}))
    )
    chips = torch.randn(2, 3, 80, 80, generator=torch.Generator().manual_seed(2)) * 60
    with torch.inference_mode():
        torch.testing.assert_close(tight(chips), plain(chips[..., 8:72, 8:72]))
        smaller = F.interpolate(chips, size=(64, 64), mode="bilinear", align_corners=False)
        torch.testing.assert_close(wide(chips), plain(smaller))


def test_of_several_crops_a_chip_sees_one_in_training_and_the_mean_of_all_in_use(
    graph: tuple[Path, dict[str, Tensor]],
) -> None:
    tight, wide, both = (
        build_backbone("mobilenet-face", weights=str(graph[0]), size=80, **seen).backbone.eval()
        for seen in ({"crop": 64}, {"inner": 64}, {"crop": [64, 80]})
    )
    chips = torch.randn(4, 3, 80, 80, generator=torch.Generator().manual_seed(2)) * 60
    with torch.inference_mode():
        tight_seen, wide_seen = tight.with_early(chips), wide.with_early(chips)
        for found, one, other in zip(both.with_early(chips), tight_seen, wide_seen, strict=True):
            torch.testing.assert_close(found, (one + other) / 2)
        both.train()
        for layer in both.modules():
            if isinstance(layer, torch.nn.BatchNorm2d):
                layer.eval()  # or a batch would change what each of its chips looks like
        for found, one, other in zip(both.with_early(chips), tight_seen, wide_seen, strict=True):
            torch.testing.assert_close(found[[0, 2]], one[[0, 2]])
            torch.testing.assert_close(found[[1, 3]], other[[1, 3]])


@pytest.mark.parametrize("crop", [80, [64, 80], []])
def test_crops_that_cannot_be_are_refused(crop: int | list[int]) -> None:
    with pytest.raises(UsageError, match=r"crop of 80|a list of crops"):
        MobileNetFace(64, crop=crop)


def test_stages_name_every_weight_once() -> None:
    backbone = MobileNetFace(64)
    named = [name for stage in backbone.stage_parameters() for name in stage]
    assert sorted(named) == sorted(name for name, _ in backbone.named_parameters())


def test_another_network_is_not_read_from_a_graph(graph: tuple[Path, dict[str, Tensor]]) -> None:
    with pytest.raises(UsageError, match=r"TensorFlow\.js"):
        build_backbone("dlib-resnet10", weights=str(graph[0]))


def test_a_graph_of_another_network_is_refused(tmp_path: Path) -> None:
    path = write_graph(tmp_path, {"conv1/kernel": np.ones((20, 20), np.float32)})
    with pytest.raises(CardError, match="not the one of mobilenet-face"):
        build_backbone("mobilenet-face", weights=str(path), size=64)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda document: document.pop("weightsManifest"), "lacks 'weightsManifest'"),
        (lambda document: document["weightsManifest"][0]["paths"].append("a.bin"), "are listed"),
        (lambda document: document["weightsManifest"][0]["paths"].append("c.bin"), "cannot be"),
        (
            lambda document: document["weightsManifest"][0]["weights"][0].update(
                quantization={"scale": 1}
            ),
            "stored as",
        ),
    ],
)
def test_a_damaged_graph_is_refused(change: object, complaint: str, tmp_path: Path) -> None:
    path = write_graph(tmp_path, {"w": np.ones((20, 20), np.float32)})
    assert list(read_tfjs(path)) == ["w"]
    document = json.loads(path.read_text())
    change(document)  # type: ignore[operator]
    path.write_text(json.dumps(document))
    with pytest.raises(CardError, match=complaint):
        read_tfjs(path)
