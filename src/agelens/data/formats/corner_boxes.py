"""Boxes as the unified benchmark writes them: four corners, clockwise from the top left."""

from __future__ import annotations

from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from agelens.tables import refuse

ALIGNED: Final = tuple(f"aligned_{axis}{corner}" for corner in range(1, 5) for axis in "xy")
"""Extra columns: the corners of `aligned_bbox`, which may lie outside the picture."""

UPRIGHT: Final = tuple(f"box_{side}" for side in ("x1", "y1", "x2", "y1", "x2", "y2", "x1", "y2"))
"""The columns of an upright box, corner by corner."""


def corners_of(frame: pd.DataFrame, field: str) -> NDArray[np.float64]:
    """Corners [N, 8] as x, y; NaN where an entry has no such box."""
    if field not in frame:
        return np.full((len(frame), 8), np.nan)
    boxes = frame[field]
    here = np.array([isinstance(box, tuple) for box in boxes])
    good = [len(box) == 8 and all(map(_is_number, box)) for box in boxes[here]]
    bad = boxes.notna().to_numpy(copy=True)
    bad[here] = ~np.array(good, dtype=bool)
    refuse(boxes, bad, "is not eight numbers")
    corners = np.full((len(frame), 8), np.nan)
    if here.any():
        corners[here] = np.array(list(boxes[here]), dtype=np.float64)
    return corners


def as_corners(boxes: pd.DataFrame) -> list[list[float] | None]:
    """Whole numbers as such, as in the published files."""
    rows = boxes.to_numpy(dtype=np.float64).tolist()
    return [
        None if any(map(np.isnan, row)) else [int(at) if at % 1 == 0 else at for at in row]
        for row in rows
    ]


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and bool(np.isfinite(value))
