"""Samples that are alike in every way that matters to a sum."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from agelens.evaluation.bootstrap.groupings import Codes

_LARGEST: Final = 2**62
"""A product of more radices would overflow; until then, sorting is put off."""


def joint_cells(parts: Sequence[Codes], count: int) -> tuple[Codes, list[Codes]]:
    """The crossing of several codings of `count` samples, of the combinations that occur.

    Args:
        parts: codes [N] each, from -1.
        count: N.

    Returns:
        The joint cell [N] of each sample, and for each part the code [J] of every joint cell.
    """
    joint, most = np.zeros(count, dtype=np.int64), 1
    for part in parts:
        radix = int(part.max(initial=-1)) + 2
        if most * radix >= _LARGEST:
            _, joint = np.unique(joint, return_inverse=True)
            most = int(joint.max(initial=0)) + 1
        joint, most = joint * radix + part + 1, most * radix
    _, first, joint = np.unique(joint, return_index=True, return_inverse=True)
    return joint, [part[first] for part in parts]
