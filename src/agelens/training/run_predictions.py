"""Predictions tables of a run's parts."""

from __future__ import annotations

from typing import Final

from agelens.inference.answers import AnswerSpec, read_answers
from agelens.records import Floats
from agelens.tables import PredictionsTable, SampleTable

LEVEL: Final = 0.9


def predictions_of(
    answers: Floats,
    spec: AnswerSpec,
    samples: SampleTable,
    *,
    split: str,
    model: str,
    method: str,
    backbone: str,
    seed: int,
    train_data: str,
) -> PredictionsTable:
    """The table of `answers` [N, width] to `samples`, with central 90 % intervals.

    Its `split` is the run's, not the dataset's own: `agelens calibrate` asks for rows that the
    run was not trained on.
    """
    read = read_answers(answers, spec)
    low, high = read.interval(LEVEL)
    columns = {
        "split": split,
        "estimate_years": read.age_years,
        "median_years": read.median_years,
        "low_years": low,
        "high_years": high,
        "interval_level": LEVEL,
        "model": model,
        "method": method,
        "backbone": backbone,
        "seed": seed,
        "train_data": train_data,
    }
    if read.distribution is None:
        return PredictionsTable.from_samples(samples, columns)
    return PredictionsTable.from_samples(
        samples, columns, distribution=read.distribution.astype("float32"), scale=spec.scale
    )
