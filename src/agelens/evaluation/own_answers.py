"""What a network itself said, out of a predictions table, whatever its card made of it."""

from __future__ import annotations

from statistics import NormalDist
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from agelens.errors import UsageError
from agelens.evaluation.row_counts import tally
from agelens.inference.answers import Answers, AnswerSpec, read_answers
from agelens.inference.cards import Card
from agelens.tables import PredictionsTable

_TOLERANCE_YEARS: Final = 0.01
_REMEDY: Final = "Make them with `agelens predict`, or give a chip store"


def own_answers(predictions: PredictionsTable, card: Card) -> tuple[NDArray[np.int64], Answers]:
    """The rows [N] of a table that have an answer of the model of `card`, and the answers.

    A model's distribution is in the table. One that answers with an age and its spread has an
    interval there, which says the spread, as long as no calibration has moved it.

    Raises:
        UsageError: the table names other models, its distributions lie over other ages, or
            neither distribution nor spread is there.
    """
    models = tally(predictions.frame["model"])
    if set(models) - {card.name}:
        raise UsageError(
            f"the predictions are of {', '.join(models)}, the card is of {card.name}: a model is "
            "calibrated on its own predictions"
        )
    spec = card.answer
    if spec is None:
        raise UsageError(f"{card.name} answers no ages: there is nothing to calibrate")
    if spec.kind == "mean-spread":
        return _by_spread(predictions.frame, spec)
    if predictions.distribution is None:
        raise UsageError(
            f"the predictions of {card.name} are without its distributions (p_000 and so on), "
            f"from which its own intervals are taken. {_REMEDY}"
        )
    if predictions.scale != spec.scale:
        raise UsageError(
            f"the predictions lie over the ages {predictions.scale}, the answers of {card.name} "
            f"over {spec.scale}: they are not its predictions"
        )
    rows = np.flatnonzero(~np.isnan(predictions.distribution[:, 0]))
    # However it was answered, what is stored is the posterior; only its point is the card's.
    stored = AnswerSpec(spec.scale, point=spec.point, threshold=spec.threshold)
    return rows, read_answers(predictions.distribution[rows], stored)


def _by_spread(frame: pd.DataFrame, spec: AnswerSpec) -> tuple[NDArray[np.int64], Answers]:
    needed = ("estimate_years", "low_years", "high_years", "interval_level")
    rows = np.flatnonzero(frame[list(needed)].notna().all(axis=1))
    age, low, high, level = (frame[name].to_numpy(np.float64)[rows] for name in needed)
    quantiles = {one: NormalDist().inv_cdf((1 + one) / 2) for one in np.unique(level).tolist()}
    reach = high - age
    if not rows.size or np.abs(np.maximum(age - reach, 0) - low).max() > _TOLERANCE_YEARS:
        raise UsageError(
            "the intervals in the predictions are not the network's own: about the estimate, as "
            f"far up as down. {_REMEDY}"
        )
    spread = reach / np.array([quantiles[one] for one in level.tolist()])
    return rows, Answers(spec, age, age, None, spread)
