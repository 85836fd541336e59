"""The estimates that are furthest from their labels: the first to look at, one by one."""

from __future__ import annotations

from typing import Final

import pandas as pd

from agelens.tables import QUALITY, PredictionsTable

MOST: Final = 500
_SHOWN: Final = (
    *("sample_id", "dataset", "path", "age_years", "age_kind", "estimate_years", "error_years"),
    *("low_years", "high_years", "gender", "ethnicity", "subject", "model"),
)


def worst_errors(predictions: PredictionsTable, count: int = MOST) -> pd.DataFrame:
    """The `count` rows furthest from their label, furthest first; `error_years` is signed.

    The label may be as wrong as the estimate: of the worst errors on scraped data, many are.
    Rows without age or estimate are in none.
    """
    frame = predictions.frame
    error = frame["estimate_years"] - frame["age_years"]
    worst = error.abs().dropna().sort_values(ascending=False, kind="stable").index[:count]
    columns = [name for name in (*_SHOWN, *QUALITY) if name in frame or name == "error_years"]
    return frame.assign(error_years=error).loc[worst, columns].reset_index(drop=True)
