from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from torch import nn

from agelens.models.backbones import flush_subnormals


@given(hnp.arrays(np.float32, 20, elements=st.floats(width=32, allow_nan=False)))
def test_only_subnormal_numbers_change(numbers: np.ndarray) -> None:
    layer = nn.Linear(20, 1, bias=False)
    with torch.no_grad():
        layer.weight.copy_(torch.from_numpy(numbers))
    subnormal = (numbers != 0) & (np.abs(numbers) < np.finfo(np.float32).tiny)
    assert flush_subnormals(layer) == subnormal.sum()
    np.testing.assert_array_equal(
        layer.weight.detach().numpy()[0], np.where(subnormal, np.float32(0), numbers)
    )


@pytest.mark.parametrize(
    ("dtype", "value", "flushed"),
    [
        (torch.float32, 1e-40, True),
        (torch.float64, 1e-310, True),
        (torch.bfloat16, 1e-39, True),
        (torch.float32, 1.2e-38, False),
        (torch.float16, 1e-6, False),  # a useful number there
        (torch.int64, 0, False),
    ],
)
def test_buffers_and_every_kind_of_number(dtype: torch.dtype, value: float, flushed: bool) -> None:
    module = nn.Module()
    module.register_buffer("numbers", torch.tensor([value, 2], dtype=dtype))
    before = module.numbers.clone()
    assert flush_subnormals(module) == int(flushed)
    assert torch.equal(module.numbers, before) is not flushed
    assert module.numbers[1] == 2
