"""Which runtime opens which file, and what happens without it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

from agelens.errors import CardError, MissingDependencyError
from agelens.inference.runtimes import RUNTIMES, OnnxRuntime, open_runtime, runtime_suffix

ToyNetwork = Callable[..., bytes]
TORCHSCRIPT = "agelens.export.torchscript"


@pytest.mark.parametrize(
    ("name", "suffix"),
    [
        ("model.onnx", ".onnx"),
        ("MODEL.ONNX", ".onnx"),
        ("model.v2.ts.pt", ".ts.pt"),
        ("model.torchscript", ".torchscript"),
        ("model.pt", None),
        ("model.pth", None),
        ("onnx", None),
        ("model.onnx.bak", None),
    ],
)
def test_the_suffix_chooses(name: str, suffix: str | None) -> None:
    assert runtime_suffix(Path("some.dir.onnx") / name) == suffix


@pytest.mark.parametrize("path", sorted(set(RUNTIMES.values())))
def test_every_runtime_is_where_the_registry_says(path: str) -> None:
    module, _, attribute = path.partition(":")
    assert callable(getattr(import_module(module), attribute))


def test_onnx_runs_as_single_precision(toy_network: ToyNetwork) -> None:
    runtime = open_runtime(".onnx", toy_network(), name="toy", size=16, width=81)
    assert isinstance(runtime, OnnxRuntime)
    answer = runtime(np.zeros((5, 3, 16, 16), dtype=np.float32))
    assert answer.shape == (5, 81)
    assert answer.dtype == np.float32


def test_chips_that_a_network_cannot_take_are_a_card_error(toy_network: ToyNetwork) -> None:
    runtime = open_runtime(".onnx", toy_network(), name="toy", size=16, width=81)
    with pytest.raises(CardError, match="toy: fails on 2 chips"):
        runtime(np.zeros((2, 3, 17, 17), dtype=np.float32))


def test_without_torch_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for loaded in [name for name in sys.modules if name.startswith("agelens.export.")]:
        monkeypatch.delitem(sys.modules, loaded)
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(MissingDependencyError, match=r"mine has TorchScript.*agelens\[train\]"):
        open_runtime(".ts.pt", b"", name="mine", size=16, width=81)


def test_another_missing_module_keeps_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(RUNTIMES, ".onnx", "agelens.inference.no_such_runtime:Runtime")
    with pytest.raises(ModuleNotFoundError, match="no_such_runtime"):
        open_runtime(".onnx", b"", name="toy", size=16, width=81)
