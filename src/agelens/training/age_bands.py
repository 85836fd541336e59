"""Error by decade of life: a mean hides that children and the old are learned last."""

from __future__ import annotations

import itertools
from typing import Final

import numpy as np
from numpy.typing import ArrayLike

from agelens.evaluation.metrics import mae

_FIRST_YEARS: Final = (0, 10, 20, 30, 40, 50, 60, 70)
BANDS: Final = (
    *(f"{low}-{high - 1}" for low, high in itertools.pairwise(_FIRST_YEARS)),
    f"{_FIRST_YEARS[-1]}+",
)
"""Names of the bands, by completed years."""


def band_maes(estimate_years: ArrayLike, age_years: ArrayLike) -> dict[str, float]:
    """The MAE in years within each band of true age that has a sample, as ``mae/20-29``."""
    estimates, ages = (np.asarray(years, dtype=np.float64) for years in (estimate_years, age_years))
    band = np.digitize(ages, _FIRST_YEARS[1:])
    return {
        f"mae/{name}": mae(estimates[band == place], ages[band == place])
        for place, name in enumerate(BANDS)
        if (band == place).any()
    }
