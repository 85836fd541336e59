"""What runs a network's weights."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
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


def test_names_that_are_no_text_are_a_card_error(toy_network: ToyNetwork) -> None:
    content = toy_network()
    damaged = content.replace(b"chip", b"\xffhip")
    assert damaged != content
    with pytest.raises(CardError, match="toy: the names of its inputs and outputs are no text"):
        OnnxRuntime(damaged, name="toy", size=16, width=81)
