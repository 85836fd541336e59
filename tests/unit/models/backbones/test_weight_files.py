from __future__ import annotations

import io
import os
import pickle
import tempfile
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from agelens.errors import CardError
from agelens.models.backbones.weights import SUFFIXES, read_tensors

TENSORS = {"conv.weight": torch.arange(12.0).reshape(4, 3), "conv.bias": torch.ones(4)}


class Command:
    """Runs a shell command when it is unpickled by a reader that runs what it finds."""

    def __init__(self, command: str) -> None:
        self.command = command

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (self.command,)


def saved(content: Any, *, zipped: bool = True) -> bytes:
    buffer = io.BytesIO()
    torch.save(content, buffer, _use_new_zipfile_serialization=zipped)
    return buffer.getvalue()


def same(found: dict[str, torch.Tensor]) -> bool:
    return found.keys() == TENSORS.keys() and all(
        torch.equal(found[name], value) for name, value in TENSORS.items()
    )


@pytest.mark.parametrize("suffix", [".pt", ".pth", ".ckpt", ".PTH"])
@pytest.mark.parametrize("zipped", [True, False])
def test_reads_what_torch_writes(tmp_path: Path, suffix: str, zipped: bool) -> None:
    path = tmp_path / f"weights{suffix}"
    path.write_bytes(saved(TENSORS, zipped=zipped))
    assert same(read_tensors(path))


def test_reads_safetensors(tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    safetensors.torch.save_file(TENSORS, path)
    assert same(read_tensors(path))


@pytest.mark.parametrize("wrapper", ["state_dict", "model", "model_state_dict", "backbone"])
def test_takes_the_weights_out_of_what_surrounds_them(tmp_path: Path, wrapper: str) -> None:
    path = tmp_path / "run.ckpt"
    path.write_bytes(saved({"epoch": 3, "best": torch.tensor(4.5), wrapper: TENSORS}))
    assert same(read_tensors(path))
    path.write_bytes(saved({"state_dict": {wrapper: {**TENSORS, "step": 4}}}))
    assert same(read_tensors(path))


@pytest.mark.parametrize("suffix", [".pt", ".pth", ".ckpt"])
@pytest.mark.parametrize("form", ["zip", "old", "bare", "hidden"])
def test_a_malicious_pickle_is_refused_and_does_nothing(
    tmp_path: Path, suffix: str, form: str
) -> None:
    trace = tmp_path / "it-ran"
    attack = Command(f"touch {trace}")
    content = {
        "zip": lambda: saved(attack),
        "old": lambda: saved(attack, zipped=False),
        "bare": lambda: pickle.dumps(attack),
        "hidden": lambda: saved({"state_dict": {**TENSORS, "conv.scale": attack}}),
    }[form]()
    path = tmp_path / f"weights{suffix}"
    path.write_bytes(content)
    with pytest.raises(CardError, match="refused") as caught:
        read_tensors(path)
    assert not trace.exists()
    assert str(path) in str(caught.value)


def test_the_attack_is_a_real_one(tmp_path: Path) -> None:
    trace = tmp_path / "it-ran"
    pickle.loads(pickle.dumps(Command(f"touch {trace}")))
    assert trace.exists()


def test_a_pickled_module_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "whole.pth"
    path.write_bytes(saved(nn.Linear(2, 2)))
    with pytest.raises(CardError, match=r"torch\.nn\.modules\.linear\.Linear"):
        read_tensors(path)


@pytest.mark.parametrize("content", [{}, {"epoch": 3}, {"state_dict": {}}, [torch.ones(2)], 5])
def test_a_file_without_named_tensors_is_refused(tmp_path: Path, content: Any) -> None:
    path = tmp_path / "weights.pth"
    path.write_bytes(saved(content))
    with pytest.raises(CardError, match="no named tensors"):
        read_tensors(path)


@pytest.mark.parametrize("broken", [float("nan"), float("inf")])
def test_numbers_that_are_not_finite_are_refused(tmp_path: Path, broken: float) -> None:
    path = tmp_path / "weights.pth"
    path.write_bytes(saved({**TENSORS, "fc.weight": torch.tensor([1.0, broken])}))
    with pytest.raises(CardError, match=r"not finite in fc\.weight"):
        read_tensors(path)


@pytest.mark.parametrize("name", ["weights.bin", "weights.npz", "weights"])
def test_other_kinds_of_files_are_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(saved(TENSORS))
    with pytest.raises(CardError, match="safetensors"):
        read_tensors(tmp_path / name)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_file_that_is_not_there(tmp_path: Path, suffix: str) -> None:
    with pytest.raises(CardError, match="cannot be read"):
        read_tensors(tmp_path / f"weights{suffix}")


@given(
    st.sampled_from(
        [saved(TENSORS), saved(TENSORS, zipped=False), safetensors.torch.save(TENSORS)]
    ),
    st.sampled_from(SUFFIXES),
    st.floats(0, 1),
    st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), max_size=4),
)
def test_a_damaged_file_is_refused_or_read(
    content: bytes, suffix: str, kept: float, changes: list[tuple[float, int]]
) -> None:
    damaged = bytearray(content[: int(kept * len(content))])
    for place, value in changes:
        if damaged:
            damaged[int(place * len(damaged))] = value
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, f"weights{suffix}")
        path.write_bytes(damaged)
        try:
            found = read_tensors(path)
        except CardError as error:
            assert str(path) in str(error)
        else:
            assert all(isinstance(value, torch.Tensor) for value in found.values())
