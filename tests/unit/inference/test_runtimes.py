"""What runs a network's weights."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx
import pytest

from agelens.errors import CardError
from agelens.inference.runtimes import OnnxRuntime

ToyNetwork = Callable[..., bytes]


def test_onnx_runs_as_single_precision(toy_network: ToyNetwork) -> None:
    runtime = OnnxRuntime(toy_network(), name="toy", size=16, width=81)
    answer = runtime(np.zeros((5, 3, 16, 16), dtype=np.float32))
    assert answer.shape == (5, 81)
    assert answer.dtype == np.float32


def test_chips_that_a_network_cannot_take_are_a_card_error(toy_network: ToyNetwork) -> None:
    runtime = OnnxRuntime(toy_network(), name="toy", size=16, width=81)
    with pytest.raises(CardError, match="toy: fails on 2 chips"):
        runtime(np.zeros((2, 3, 17, 17), dtype=np.float32))


def test_names_that_are_no_text_are_a_card_error(
    toy_network: ToyNetwork, capsys: pytest.CaptureFixture[str]
) -> None:
    content = toy_network()
    damaged = content.replace(b"chip", b"\xffhip")
    assert damaged != content
    with pytest.raises(CardError, match="toy: the names of its inputs and outputs are no text"):
        OnnxRuntime(damaged, name="toy", size=16, width=81)
    assert capsys.readouterr().out == ""  # where rows of results go


def test_an_input_that_has_no_axes_is_a_card_error() -> None:
    ports = [onnx.helper.make_tensor_value_info(name, 1, []) for name in ("chip", "answer")]
    node = onnx.helper.make_node("Identity", ["chip"], ["answer"])
    graph = onnx.helper.make_graph([node], "toy", ports[:1], ports[1:])
    opsets = [onnx.helper.make_opsetid("", 17)]
    content = onnx.helper.make_model(graph, ir_version=8, opset_imports=opsets).SerializeToString()
    with pytest.raises(CardError, match=r"toy: the card states one float input \[N, 3, 16, 16\]"):
        OnnxRuntime(content, name="toy", size=16, width=81)
