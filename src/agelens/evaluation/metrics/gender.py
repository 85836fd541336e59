"""How often the estimated gender is the labelled one."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import ArrayLike

from agelens.evaluation.metrics.columns import same_length
from agelens.evaluation.metrics.sums import Sums
from agelens.records import Floats


def _correct(gender_estimate: ArrayLike, gender: ArrayLike) -> Floats:
    columns = {
        "gender_estimate": np.asarray(gender_estimate, dtype=object),
        "gender": np.asarray(gender, dtype=object),
    }
    same_length(**columns)
    for name, values in columns.items():
        wrong = ~((values == "female") | (values == "male"))
        if wrong.any():
            raise ValueError(
                f"{name} is female or male, got {values[wrong.argmax()]!r} at "
                f"{int(wrong.argmax())}; leave rows without one out of both columns"
            )
    return np.asarray(columns["gender_estimate"] == columns["gender"], dtype=np.float64)


GENDER_ACCURACY: Final = Sums(_correct)


def gender_accuracy(gender_estimate: ArrayLike, gender: ArrayLike) -> float:
    """Share of samples whose estimated gender is the labelled one; NaN for no sample.

    Both are the words ``female`` and ``male``, as in every table: codes differ by dataset.

    Raises:
        ValueError: the columns differ in length, or hold another word or a missing one.
    """
    return GENDER_ACCURACY(gender_estimate, gender)
