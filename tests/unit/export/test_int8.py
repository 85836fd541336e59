"""8-bit networks: smaller, near the original, and exact where chips are resized."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

from agelens.export.export_network import FITTING, ExportNetwork, TrainedInput
from agelens.export.formats import to_int8, to_onnx
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
    assert len(weights) == 2
    for filters in weights.values():
        assert np.abs(filters.astype(int)).max() <= 64
        assert (np.abs(filters.astype(int)).reshape(len(filters), -1).max(axis=1) >= 63).all()


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
