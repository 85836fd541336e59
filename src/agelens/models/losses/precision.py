"""Losses are never computed in half precision."""

from __future__ import annotations

import torch
from torch import Tensor


def at_least_float32(values: Tensor) -> Tensor:
    """`values` in float32, or in float64 where they come in that.

    Autocast leaves outputs in bfloat16, whose 8 bits put ages above 32 on a grid of a
    quarter year.
    """
    return values.to(torch.promote_types(values.dtype, torch.float32))
