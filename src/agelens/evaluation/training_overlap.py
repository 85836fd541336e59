"""Whether labelled predictions are of people whom the model was trained on."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

import pandas as pd

from agelens.errors import UsageError
from agelens.inference.cards import Card

TRAIN: Final = "train"
"""The part whose people a model has seen."""


@dataclass(frozen=True, slots=True)
class TrainingOverlap:
    """Rows of a dataset that a model was trained on.

    `trained` of them are of its part train, `unsaid` do not say of which part they are.
    """

    dataset: str
    rows: int
    trained: int
    unsaid: int

    @property
    def is_safe(self) -> bool:
        """Whether all rows say that they are of another part."""
        return not self.trained + self.unsaid


def training_overlaps(frame: pd.DataFrame, trained_on: Collection[str]) -> list[TrainingOverlap]:
    """What the rows of each dataset that is among `trained_on` say of their part, by name.

    Args:
        frame: of a predictions table.
        trained_on: names of datasets.
    """
    found = []
    for dataset in sorted(set(trained_on) & set(frame["dataset"].dropna().unique())):
        split = frame["split"][frame["dataset"] == dataset]
        trained, unsaid = int((split == TRAIN).sum()), int(split.isna().sum())
        found.append(TrainingOverlap(dataset, len(split), trained, unsaid))
    return found


def check_training_data(frame: pd.DataFrame, card: Card) -> None:
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
    for found in training_overlaps(frame, seen):
        if found.is_safe:
            continue
        which = f"are of its part {TRAIN}" if found.trained else "do not say of which part they are"
        raise UsageError(
            f"{card.name} was trained on {found.dataset}, and {found.trained or found.unsaid} of "
            f"the {found.rows} {found.dataset} rows here {which}: a calibration on people whom the "
            "model has seen promises too much. Give rows of another part (agelens predict --split "
            "... --part valid), or --allow-training-data if you know better"
        )
