"""ONNX files: half weights, subnormals, and networks that cannot be written."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, numpy_helper
from torch import Tensor, nn

from agelens.data.training_input.geometry import ChipTransform
from agelens.errors import ExportError
from agelens.export.export_network import FITTING, ExportNetwork, TrainedInput
from agelens.export.formats import to_onnx, with_half_weights
from agelens.inference.runtimes import OnnxRuntime
from agelens.models.age_model import AgeModel
from agelens.models.backbones import build_backbone
from agelens.models.methods.regression import L1Regression

Model = Callable[..., AgeModel]
Seen = Callable[..., TrainedInput]


@pytest.fixture(scope="module")
def network(small_model: Model, seen: Seen) -> ExportNetwork:
    return ExportNetwork(small_model(), seen(24))


@pytest.fixture(scope="module")
def written(network: ExportNetwork) -> onnx.ModelProto:
    return to_onnx(network)


def test_half_is_for_matrices_and_not_for_what_resizes(written: onnx.ModelProto) -> None:
    before = written.SerializeToString()
    half = with_half_weights(written)
    assert written.SerializeToString() == before
    onnx.checker.check_model(half)
    kept = {tensor.name: tensor for tensor in half.graph.initializer}
    halved = [name for name, tensor in kept.items() if tensor.data_type == TensorProto.FLOAT16]
    assert {name.rpartition(".")[0].rpartition(".")[0] for name in halved} == {
        "model.backbone.first",
        "model.backbone.second",
        "model.head",
    }
    assert kept[f"{FITTING}resize.along_rows"].data_type == TensorProto.FLOAT
    assert kept["model.head.bias"].data_type == TensorProto.FLOAT


def test_half_answers_nearly_alike(network: ExportNetwork, written: onnx.ModelProto) -> None:
    pixels = network.example()
    content = with_half_weights(written).SerializeToString()
    answer = OnnxRuntime(content, name="half", size=24, width=31)(pixels.numpy())
    np.testing.assert_allclose(answer, network(pixels).numpy(), rtol=0, atol=2e-4)
    assert answer.dtype == np.float32


def test_weights_that_folding_made_subnormal_are_flushed(small_model: Model, seen: Seen) -> None:
    model = small_model()
    with torch.no_grad():
        model.backbone.norm.weight.fill_(1e-30)  # type: ignore[union-attr, operator]
        model.backbone.first.weight.fill_(1e-9)  # type: ignore[union-attr, operator]
    graph = to_onnx(ExportNetwork(model, seen())).graph
    tiny = np.finfo(np.float32).tiny
    for tensor in graph.initializer:
        if tensor.data_type == TensorProto.FLOAT:
            weights = np.abs(numpy_helper.to_array(tensor))
            assert ((weights == 0) | (weights >= tiny)).all(), tensor.name


class _Undecided(nn.Module):
    """Its answer hangs on a number that only a chip can tell."""

    def forward(self, features: Tensor) -> Tensor:
        return features if features.sum() > 0 else -features


def test_a_network_that_cannot_be_written_is_told(small_model: Model, seen: Seen) -> None:
    model = small_model()
    model.head = _Undecided()
    with pytest.raises(ExportError, match="torch cannot write this network as ONNX"):
        to_onnx(ExportNetwork(model, seen()))


def test_a_network_of_several_crops_takes_any_number_of_chips(seen: Seen) -> None:
    backbone = build_backbone("mobilenet-face", weights="random", size=40, crop=[32, 40]).backbone
    model = AgeModel(backbone, L1Regression("0-100")).eval()
    transform = ChipTransform(40, mean=backbone.mean, std=backbone.std)
    network = ExportNetwork(model, replace(seen(40), transform=transform))
    content = to_onnx(network).SerializeToString()
    runtime = OnnxRuntime(content, name="crops", size=40, width=network(network.example()).shape[1])
    for count in (1, 3):
        chips = network.example()[:1].repeat(count, 1, 1, 1)
        np.testing.assert_allclose(
            runtime(chips.numpy()), network(chips).detach().numpy(), atol=1e-3
        )
