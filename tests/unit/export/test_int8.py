"""8-bit networks: smaller, near the original, and exact where chips are resized."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from numpy.typing import NDArray

from agelens.export.export_network import FITTING, ExportNetwork, TrainedInput
from agelens.export.formats import int8_layers, to_int8, to_onnx
from agelens.inference.network import normalised
from agelens.inference.runtimes import OnnxRuntime
from agelens.models.age_model import AgeModel
from agelens.records import RGB, Floats

Pixels = NDArray[np.float32]


@pytest.fixture(scope="module")
def pixels(
    labelled: Callable[..., list[tuple[RGB, Floats]]], seen: Callable[..., TrainedInput]
) -> list[Pixels]:
    return [normalised(chips, seen(24).chip_input) for chips, _ in labelled(24)]


@pytest.fixture(scope="module")
def plain(
    small_model: Callable[..., AgeModel], seen: Callable[..., TrainedInput]
) -> onnx.ModelProto:
    return to_onnx(ExportNetwork(small_model("coral"), seen(24)))


@pytest.fixture(scope="module")
def quantised(plain: onnx.ModelProto, pixels: list[Pixels]) -> onnx.ModelProto:
    return to_int8(plain, pixels)


def answer(model: onnx.ModelProto, pixels: Pixels) -> NDArray[np.floating]:
    return OnnxRuntime(model.SerializeToString(), name="it", size=24, width=30)(pixels)


def test_answers_are_near_and_not_the_same(
    plain: onnx.ModelProto, quantised: onnx.ModelProto, pixels: list[Pixels]
) -> None:
    before, after = (answer(model, pixels[0]) for model in (plain, quantised))
    assert 0 < np.abs(before - after).max() < 0.1 * np.ptp(before)


def test_filters_lie_in_seven_of_eight_bits(quantised: onnx.ModelProto) -> None:
    weights = {
        tensor.name: onnx.numpy_helper.to_array(tensor)
        for tensor in quantised.graph.initializer
        if tensor.data_type == onnx.TensorProto.INT8 and len(tensor.dims) == 4
    }
    assert list(weights) == ["model.backbone.second.weight_quantized"]
    for filters in weights.values():
        assert np.abs(filters.astype(int)).max() <= 64
        assert (np.abs(filters.astype(int)).reshape(len(filters), -1).max(axis=1) >= 63).all()


def test_layers_that_see_chips_and_heads_stay_in_single_precision(
    quantised: onnx.ModelProto,
) -> None:
    kinds = {tensor.name: tensor.data_type for tensor in quantised.graph.initializer}
    heads = [node.input[1] for node in quantised.graph.node if node.op_type == "Gemm"]
    first = next(node for node in quantised.graph.node if node.op_type == "Conv")
    assert kinds[first.input[1]] == onnx.TensorProto.FLOAT
    assert {kinds[head] for head in heads} == {onnx.TensorProto.FLOAT}


def test_a_quantised_layer_answers_as_its_own_on_average(
    plain: onnx.ModelProto, quantised: onnx.ModelProto, pixels: list[Pixels]
) -> None:
    before, after = (
        outputs_of_second(model, np.concatenate(pixels)) for model in (plain, quantised)
    )
    spread = before.std((0, 2, 3))
    moved = np.abs(after.mean((0, 2, 3)) - before.mean((0, 2, 3))) / spread
    assert np.abs(after - before).max() > 0
    assert moved.max() < 0.001


def outputs_of_second(model: onnx.ModelProto, pixels: Pixels) -> NDArray[np.float32]:
    """What the second convolution gives: float32 [N, C, H, W]."""
    asked = onnx.ModelProto()
    asked.CopyFrom(model)
    _, second = (node for node in asked.graph.node if node.op_type == "Conv")
    del asked.graph.output[:]
    asked.graph.output.append(
        onnx.helper.make_tensor_value_info(second.output[0], onnx.TensorProto.FLOAT, None)
    )
    session = ort.InferenceSession(asked.SerializeToString(), providers=["CPUExecutionProvider"])
    (found,) = session.run(None, {"chips": pixels})
    return np.asarray(found)


def test_layers_in_whole_numbers_are_counted(
    plain: onnx.ModelProto, quantised: onnx.ModelProto
) -> None:
    assert int8_layers(quantised.SerializeToString()) == {"whole_numbers": 1, "of": 3}
    assert int8_layers(plain.SerializeToString()) == {"whole_numbers": 0, "of": 3}


def test_what_resizes_chips_is_left_exact(quantised: onnx.ModelProto) -> None:
    kept = {
        tensor.name: tensor.data_type
        for tensor in quantised.graph.initializer
        if tensor.name.startswith(FITTING)
    }
    assert f"{FITTING}resize.along_rows" in kept
    assert set(kept.values()) == {onnx.TensorProto.FLOAT}
    rows = [node for node in quantised.graph.node if node.op_type == "MatMul"]
    assert any(f"{FITTING}resize.along_rows" in node.input for node in rows)


def test_nothing_is_printed(
    plain: onnx.ModelProto,
    pixels: list[Pixels],
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    to_int8(plain, pixels)
    printed = capfd.readouterr()
    assert (printed.out, printed.err, caplog.text) == ("", "", "")


@pytest.mark.parametrize(
    ("rectifier", "limits", "most"),
    [("Clip", ["low", "high"], 6.0), ("Clip", ["low"], np.inf), ("Relu", [], np.inf)],
)
def test_steps_lie_where_the_rectifier_lets_through(
    rectifier: str, limits: list[str], most: float
) -> None:
    chance = np.random.default_rng(0)
    ends = {"low": np.float32(0), "high": np.float32(6)}
    tensors = {name: ends[name] for name in limits}
    nodes, name = [], "chips"
    for layer, inputs in enumerate((3, 8, 8)):
        weights = chance.normal(0, 1, (8, inputs, 3, 3)).astype(np.float32)
        tensors[f"w{layer}"] = weights
        nodes.append(
            onnx.helper.make_node("Conv", [name, f"w{layer}"], [f"c{layer}"], f"conv{layer}")
        )
        nodes.append(onnx.helper.make_node(rectifier, [f"c{layer}", *limits], [f"r{layer}"]))
        name = f"r{layer}"
    ports = [
        onnx.helper.make_tensor_value_info(port, onnx.TensorProto.FLOAT, ["N", None, None, None])
        for port in ("chips", name)
    ]
    stored = [onnx.numpy_helper.from_array(np.asarray(t), n) for n, t in tensors.items()]
    graph = onnx.helper.make_graph(nodes, "it", ports[:1], ports[1:], stored)
    opset = [onnx.helper.make_opsetid("", 18)]
    model = onnx.helper.make_model(graph, opset_imports=opset, ir_version=10)
    seen = [chance.normal(0, 1, (16, 3, 16, 16)).astype(np.float32) for _ in range(2)]
    made = to_int8(model, seen)
    values = {one.name: onnx.numpy_helper.to_array(one) for one in made.graph.initializer}
    readers = {node.input[0]: node for node in made.graph.node}
    steps = [
        readers[node.output[0]]
        for node in made.graph.node
        if node.op_type == "Conv" and readers[node.output[0]].op_type == "QuantizeLinear"
    ]
    assert steps
    for step in steps:
        assert values[step.input[2]] == 0
        assert 0 < 255 * values[step.input[1]] <= most * (1 + 1e-6)
