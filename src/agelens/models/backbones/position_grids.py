"""What transformers know of positions, for one grid of patches, brought to another."""

from __future__ import annotations

from math import isqrt
from typing import Any

from timm.layers.pos_embed import resample_abs_pos_embed
from timm.layers.pos_embed_rel import resize_rel_pos_bias_table_simple
from torch import Tensor


def position_embedding(net: Any, weight: Tensor) -> Tensor | None:
    """`weight` [1, tokens, width] for the patches of `net`; None if it is of no square grid."""
    tokens = 0 if getattr(net, "no_embed_class", False) else getattr(net, "num_prefix_tokens", 1)
    if not _is_square(weight.shape[1] - tokens):
        return None
    embedding: Tensor = resample_abs_pos_embed(
        weight, new_size=list(net.patch_embed.grid_size), num_prefix_tokens=tokens
    )
    return embedding


def position_biases(attention: Any, weight: Tensor) -> Tensor | None:
    """`weight` [pairs, heads] for the window of `attention`; None if it is of no square one."""
    if not _is_square(len(weight)):
        return None
    # Not timm's other way, which indexes in a manner that torch is giving up.
    biases: Tensor = resize_rel_pos_bias_table_simple(
        weight, attention.window_size, tuple(attention.relative_position_bias_table.shape)
    )
    return biases


def _is_square(count: int) -> bool:
    return count > 0 and isqrt(count) ** 2 == count
