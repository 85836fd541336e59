"""A heat map over the photo that its chip was cut from."""

from __future__ import annotations

import cv2
import numpy as np

from agelens.records import Floats


def over_photo(values: Floats, matrix: Floats, size_hw: tuple[int, int]) -> Floats:
    """`values` [S, S] of a chip, warped back: [H, W], NaN where the chip does not reach.

    Args:
        values: over the chip's pixels.
        matrix: [2, 3], photo to chip pixels, as in `agelens.records.Chip`.
        size_hw: of the photo.
    """
    height, width = size_hw
    back = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    warped = cv2.warpAffine(
        values, matrix, (width, height), flags=back, borderMode=cv2.BORDER_REPLICATE
    )
    covered = cv2.warpAffine(
        np.ones(values.shape), matrix, (width, height), flags=cv2.INTER_NEAREST | back
    )
    return np.where(np.asarray(covered) > 0.5, np.asarray(warped), np.nan)
