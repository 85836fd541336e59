"""Whether labelled predictions are of people whom the model was trained on."""

from __future__ import annotations

import pandas as pd

from agelens.errors import UsageError
from agelens.inference.cards import Card

_TRAIN = "train"


def refuse_training_data(frame: pd.DataFrame, card: Card) -> None:
    """Raise where rows may be what the model of `card` was trained on.

    A model is surer of people it has seen, so that numbers found on them promise too much. Only
    the card's list of datasets and the table's `split` column are there to tell by: a
    dataset that the card names is taken if all its rows say that they are of another part.

    Args:
        frame: of a predictions table.
        card: whose `trained_on` names datasets.

    Raises:
        UsageError: some rows are of the part train of such a dataset, or do not say.
    """
    seen = {str(entry["dataset"]) for entry in card.document["trained_on"]}
    for dataset in sorted(seen & set(frame["dataset"].dropna().unique())):
        split = frame["split"][frame["dataset"] == dataset]
        trained, unsaid = int((split == _TRAIN).sum()), int(split.isna().sum())
        if not trained + unsaid:
            continue
        which = f"are of its part {_TRAIN}" if trained else "do not say of which part they are"
        raise UsageError(
            f"{card.name} was trained on {dataset}, and {trained or unsaid} of the {len(split)} "
            f"{dataset} rows here {which}: a calibration on people whom the model has seen "
            "promises too much. Give rows of another part (agelens predict --split ... --part "
            "valid), or --allow-training-data if you know better"
        )
