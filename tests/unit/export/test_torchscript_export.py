"""TorchScript files: half weights, and no noise."""

from __future__ import annotations

import io
import os
import sys
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import agelens
from agelens.errors import ExportError
from agelens.export.export_network import ExportNetwork, TrainedInput
from agelens.export.torchscript import TracedRuntime, quiet_torchscript, to_torchscript
from agelens.models.age_model import AgeModel

Model = Callable[..., AgeModel]
Seen = Callable[..., TrainedInput]


def stored(content: bytes) -> list[torch.dtype]:
    with quiet_torchscript():
        module = torch.jit.load(io.BytesIO(content))  # type: ignore[no-untyped-call]
    return [weight.dtype for weight in module.parameters() if weight.ndim >= 2]


@pytest.mark.parametrize(
    ("half", "dtype", "tolerance"), [(False, torch.float32, 1e-6), (True, torch.float16, 2e-4)]
)
def test_weights_lie_as_asked_and_answers_are_single(
    half: bool, dtype: torch.dtype, tolerance: float, small_model: Model, seen: Seen
) -> None:
    network = ExportNetwork(small_model(), seen(24))
    pixels = network.example()
    expected = network(pixels).numpy()
    content = to_torchscript(network, half=half)
    assert set(stored(content)) == {dtype}
    answer = TracedRuntime(content)(pixels.numpy())
    np.testing.assert_allclose(answer, expected, rtol=0, atol=tolerance)
    assert answer.dtype == np.float32


def test_a_file_names_no_folder(small_model: Model, seen: Seen) -> None:
    content = to_torchscript(ExportNetwork(small_model(), seen()))
    folders = [os.fsencode(one) for one in (Path(agelens.__file__).parents[2], sys.prefix)]
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        for name in archive.namelist():
            if not name.endswith(".debug_pkl"):
                assert not any(folder in archive.read(name) for folder in folders), name


class _Untraceable(nn.Module):
    def forward(self, features: Tensor) -> Tensor:
        if isinstance(features.shape[0], Tensor):  # only while it is traced
            raise TypeError("a tensor is no number")
        return features


def test_a_network_that_cannot_be_traced_is_told(small_model: Model, seen: Seen) -> None:
    model = small_model()
    model.head = _Untraceable()
    with pytest.raises(ExportError, match="cannot trace this network: a tensor is no number"):
        to_torchscript(ExportNetwork(model, seen()))


def test_other_warnings_are_still_heard() -> None:
    with pytest.warns(FutureWarning, match="something else"), quiet_torchscript():
        warnings.warn("something else", FutureWarning, stacklevel=1)
