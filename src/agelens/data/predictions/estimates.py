"""Estimates as columns of a predictions table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, Final

import numpy as np
import pandas as pd

from agelens.imaging.quality import yaw_degrees
from agelens.inference.cards import Card
from agelens.inference.estimator import AgeEstimator
from agelens.records import AgeEstimate
from agelens.tables import PredictionsTable, SampleTable

_YEARS: Final = {
    "estimate_years": "age_years",
    "median_years": "median_years",
    "low_years": "low_years",
    "high_years": "high_years",
}
_QUALITY: Final = ("inter_eye_px", "sharpness", "exposure", "roll_degrees", "yaw_proxy")


def table_of(
    estimator: AgeEstimator,
    samples: SampleTable,
    faces: Sequence[AgeEstimate | None],
    statuses: Sequence[str],
    milliseconds: Sequence[float | None] | None = None,
) -> PredictionsTable:
    """The predictions table of `samples` [N].

    Beside its own columns it has `refer`: why a human should look, where the picture asks for it.

    Args:
        estimator: whose model is named in every row.
        samples: with their labels.
        faces: [N] the labelled face of each sample, None where there is none.
        statuses: [N] ``ok`` beside a face, or why there is none.
        milliseconds: [N] that each sample's photo took, where that was measured.
    """
    columns: dict[str, Any] = {
        name: [None if face is None else getattr(face, field) for face in faces]
        for name, field in _YEARS.items()
    }
    columns["interval_level"] = [None if f is None else f.interval_level for f in faces]
    columns |= _quality(faces)
    if any(face is not None and face.gender is not None for face in faces):
        columns["gender_estimate"] = [None if f is None else f.gender for f in faces]
        columns["gender_score"] = [None if f is None else f.gender_score for f in faces]
    columns["refer"] = pd.Series([None if f is None else f.refer for f in faces], dtype="str")
    if milliseconds is not None:
        columns["milliseconds"] = list(milliseconds)
    columns |= {"status": list(statuses)} | _model(estimator.card)
    distribution = _distribution(faces, len(estimator.age_scale))
    if distribution is None:
        return PredictionsTable.from_samples(samples, columns)
    return PredictionsTable.from_samples(
        samples, columns, distribution=distribution, scale=estimator.age_scale
    )


def _quality(faces: Sequence[AgeEstimate | None]) -> dict[str, list[float | None]]:
    seen = [
        None if face is None or face.quality is None else asdict(face.quality) for face in faces
    ]
    columns = {name: [None if one is None else one[name] for one in seen] for name in _QUALITY}
    proxies = [np.nan if value is None else value for value in columns["yaw_proxy"]]
    columns["yaw_degrees"] = yaw_degrees(proxies).tolist()
    scores = [None if f is None or f.face is None else f.face.score for f in faces]
    return {"detection_score": scores, **columns}


def _model(card: Card) -> dict[str, str | None]:
    """Where the estimates come from, in the words of the card."""
    stated = card.document
    trained_on = sorted({str(entry["dataset"]) for entry in stated["trained_on"]})
    return {
        "model": card.name,
        "method": stated.get("method"),
        "backbone": stated.get("backbone"),
        "train_data": "+".join(trained_on) or None,
    }


def _distribution(faces: Sequence[AgeEstimate | None], ages: int) -> np.ndarray | None:
    """Distributions [N, K], NaN where there is no face; None where the model has none."""
    if all(face is None or face.distribution is None for face in faces):
        return None
    rows = np.full((len(faces), ages), np.nan, dtype=np.float32)
    for row, face in enumerate(faces):
        if face is not None and face.distribution is not None:
            rows[row] = face.distribution
    return rows
