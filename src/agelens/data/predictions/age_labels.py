"""A model's estimates as ages of a sample table, marked as what they are."""

from __future__ import annotations

from typing import Final

import numpy as np
import pandas as pd

from agelens.tables import PredictionsTable, SampleTable, refuse

AGE_MODEL: Final = "age_model"
"""Column that names the model behind an estimated age; missing beside any other age."""


def with_estimated_ages(
    samples: SampleTable, predictions: PredictionsTable, model: str, *, replace: bool = False
) -> SampleTable:
    """`samples` with what was estimated as `age_years`, of kind ``estimated``.

    An age that is there already stays, of its own kind, and so does a row without an estimate.
    The extra column `age_model` names the model in every row that it gave an age.

    Args:
        samples: to label.
        predictions: of the same samples in the same order.
        model: name and version.
        replace: give up the ages, their spread and bounds, of rows that have an estimate.

    Raises:
        TableError: the predictions are of other samples; rows are named.
    """
    frame = samples.frame
    predicted = predictions.frame["sample_id"]
    if len(predicted) != len(frame):
        predicted = predicted.reindex(frame.index)
    refuse(frame["sample_id"], (predicted != frame["sample_id"]).fillna(True), "was not predicted")
    estimate = predictions.frame["estimate_years"].to_numpy(dtype=np.float64)
    given = ~np.isnan(estimate)
    if not replace:
        given &= ~frame[["age_years", "age_low", "age_high"]].notna().any(axis=1).to_numpy()
    known = frame.get(AGE_MODEL, pd.Series(None, index=frame.index, dtype=object))
    labelled = frame.assign(
        age_years=np.where(given, estimate, frame["age_years"]),
        age_kind=frame["age_kind"].astype(object).mask(given, "estimated"),
        **{name: frame[name].mask(given) for name in ("age_std", "age_low", "age_high")},
        **{AGE_MODEL: known.astype(object).mask(given, model)},
    )
    return SampleTable(labelled, tuple(dict.fromkeys((*samples.extra, AGE_MODEL))))
