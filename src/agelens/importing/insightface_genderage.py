"""insightface's genderage.onnx: two genders and an age in hundredths, from 96-pixel chips."""

from __future__ import annotations

from typing import Final

import numpy as np
import onnx
from onnx import helper, numpy_helper

from agelens.errors import CardError
from agelens.export.formats import PLACEHOLDER, name_outputs
from agelens.importing.contents import Contents
from agelens.importing.imported_network import NO_SPREAD, SPREAD_YEARS
from agelens.importing.layout import ChipChoice, Choices, Filled, Layout, OnnxNetwork
from agelens.models.backbones.weights import KeyLine, KeyReport
from agelens.models.methods.regression import L2Regression

_UNIT_YEARS: Final = 100.0
_OUTPUTS: Final = 3
_SIZE: Final = 96


def _numbers(graph: onnx.GraphProto) -> list[onnx.ValueInfoProto]:
    """Its inputs that are no weights; older exporters list weights among them."""
    weights = {tensor.name for tensor in graph.initializer}
    return [port for port in graph.input if port.name not in weights]


def _dimensions(port: onnx.ValueInfoProto) -> list[int]:
    return [size.dim_value for size in port.type.tensor_type.shape.dim]


def _recognises(contents: Contents) -> bool:
    if contents.graph is None or len(contents.graph.graph.output) != 1:
        return False
    inputs = _numbers(contents.graph.graph)
    chips = len(inputs) == 1 and _dimensions(inputs[0])[1:2] == [3]
    return chips and _dimensions(contents.graph.graph.output[0])[-1:] == [_OUTPUTS]


def _fill(contents: Contents, choices: Choices) -> Filled:
    if not _recognises(contents) or contents.graph is None:
        raise CardError(
            f"{contents.path}: no network of one input of chips and one output of {_OUTPUTS} "
            "numbers (female, male, age / 100)"
        )
    graph = contents.graph.graph
    size = (_dimensions(_numbers(graph)[0])[2:3] or [0])[0] or choices.size or _SIZE
    inside = _normalises(graph)
    lines = tuple(KeyLine("taken", tensor.name, tensor.name) for tensor in graph.initializer)
    return Filled(
        network=OnnxNetwork(
            contents.graph,
            _with_answer(contents.graph, size),
            L2Regression(choices.ages or "0-100").spec,
            {"gender": ("female", "male")},
        ),
        keys=KeyReport("insightface's network", contents.path.name, lines),
        backbone="insightface's genderage",
        method=L2Regression.name,
        size=size,
        mean=(0.0,) * 3 if inside else None,
        std=(1 / 255,) * 3 if inside else None,
        notes=(NO_SPREAD,),
    )


def _normalises(graph: onnx.GraphProto) -> bool:
    """Whether the network's first steps do what others leave to whoever calls them.

    As insightface's own reader decides it: by a subtraction and a multiplication among the first
    eight nodes, or a batch norm of the data among the first three.
    """
    names = [node.name for node in graph.node[:8]]
    subtracts = any(name.startswith(("Sub", "_minus")) for name in names)
    multiplies = any(name.startswith(("Mul", "_mul")) for name in names)
    return (subtracts and multiplies) or "bn_data" in names[:3]


def _with_answer(model: onnx.ModelProto, size: int) -> onnx.ModelProto:
    """`model` with any number of chips in; age with spread, and genders, [N, 2] each out."""
    answering = onnx.ModelProto()
    answering.CopyFrom(model)
    graph = answering.graph
    port, found = _numbers(graph)[0].name, graph.output[0].name
    constants = {
        "age_place": np.array([2]),
        "gender_places": np.array([0, 1]),
        "unit_years": np.array([_UNIT_YEARS], np.float32),
        "nothing": np.array([0.0], np.float32),
        "spread_years": np.array([SPREAD_YEARS], np.float32),
    }
    graph.initializer.extend(
        numpy_helper.from_array(value, f"agelens_{name}") for name, value in constants.items()
    )
    graph.node.extend(
        helper.make_node(
            operator, [_ours(name, found) for name in names], [_ours(to, found)], **how
        )
        for operator, names, to, how in (
            ("Gather", ("found", "age_place"), "share", {"axis": 1}),
            ("Mul", ("share", "unit_years"), "age", {}),
            ("Mul", ("age", "nothing"), "no_years", {}),
            ("Add", ("no_years", "spread_years"), "spread", {}),
            ("Gather", ("found", "gender_places"), "logits", {"axis": 1}),
            ("Concat", ("age", "spread"), f"answer{PLACEHOLDER}", {"axis": 1}),
            ("Softmax", ("logits",), f"gender{PLACEHOLDER}", {"axis": 1}),
        )
    )
    outputs = [_ours(f"{name}{PLACEHOLDER}", found) for name in ("answer", "gender")]
    shapes = {port: ["N", 3, size, size]} | {name: ["N", 2] for name in outputs}
    chips, *answers = (
        helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape)
        for name, shape in shapes.items()
    )
    del graph.input[:], graph.output[:], graph.value_info[:]
    graph.input.append(chips)
    graph.output.extend(answers)
    name_outputs(answering)
    return answering


def _ours(name: str, found: str) -> str:
    if name == "found":
        return found
    return name if name.endswith(PLACEHOLDER) else f"agelens_{name}"


LAYOUT: Final = Layout(
    name="insightface-genderage",
    owner="insightface (genderage.onnx)",
    paper="none; deepinsight/insightface, python-package/insightface/model_zoo/attribute.py",
    chips=ChipChoice(
        size=_SIZE,
        mean=(0.5, 0.5, 0.5),
        std=(128 / 255,) * 3,
        # 1.5 times the longer side of retinaface's box: the median over 55 photos.
        margin=0.46,
        source="attribute.py: a square of 1.5 times the longer side of the detector's box, not "
        "turned, 96 pixels, RGB, (x - 127.5) / 128 unless the network does that itself.",
    ),
    recognises=_recognises,
    fill=_fill,
    takes=("ages", "size"),
)
