"""Precision of losses."""

from __future__ import annotations

import pytest
import torch

from agelens.models.losses import at_least_float32


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        (torch.bfloat16, torch.float32),
        (torch.float16, torch.float32),
        (torch.float32, torch.float32),
        (torch.float64, torch.float64),
    ],
)
def test_only_half_precision_is_widened(given: torch.dtype, kept: torch.dtype) -> None:
    assert at_least_float32(torch.ones(2, dtype=given)).dtype == kept
