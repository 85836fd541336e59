"""Columns that a metric reads: as long as one another, and with a value in every row."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from agelens.records import Floats


def complete_numbers(**columns: ArrayLike) -> tuple[Floats, ...]:
    """The columns [N] as float64, in the order given.

    A metric leaves no row out by itself: which rows have no value, and how many, is its
    caller's to say.

    Raises:
        ValueError: a column is not [N], they differ in length, or one holds NaN.
    """
    numbers = {name: np.asarray(values, dtype=np.float64) for name, values in columns.items()}
    same_length(**numbers)
    for name, values in numbers.items():
        missing = np.isnan(values)
        if missing.any():
            raise ValueError(
                f"{name} holds {int(missing.sum())} missing values, the first at "
                f"{int(missing.argmax())}; count them and leave their rows out of every column"
            )
    return tuple(numbers.values())


def same_length(**columns: NDArray[np.generic]) -> None:
    """Raise unless all columns are [N] with one N.

    Raises:
        ValueError: they are not; their shapes are named.
    """
    shapes = {name: values.shape for name, values in columns.items()}
    if any(len(shape) != 1 for shape in shapes.values()) or len(set(shapes.values())) > 1:
        spelled = ", ".join(f"{name} {list(shape)}" for name, shape in shapes.items())
        raise ValueError(f"the columns of a metric are [N] with one N, got {spelled}")
