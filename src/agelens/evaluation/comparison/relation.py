"""What the people of a test have to do with those a model was trained on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

import pandas as pd

from agelens.evaluation.row_counts import words_in_use
from agelens.evaluation.training_overlap import TRAIN, training_overlaps

RelationKind: TypeAlias = Literal["intra", "cross", "leak", "unclear", "not stated"]
_JOINED: Final = "+"
"""Between the names of several datasets in `train_data`."""
_UNKNOWN: Final = ("not stated", "unknown")
"""How a card says that nobody knows."""


@dataclass(frozen=True, slots=True)
class Relation:
    """One of five, and why.

    ``intra``: other people of a dataset it was trained on. ``cross``: of a dataset it never saw.
    ``leak``: it was trained on some of them. ``unclear``: some do not say whether it was.
    ``not stated``: nobody says what it was trained on, or which dataset this is.
    """

    kind: RelationKind
    text: str


def relation_to_training(frame: pd.DataFrame) -> Relation:
    """What the rows' `dataset` and `split` say beside their `train_data`."""
    trained_on = {
        name for words in words_in_use(frame["train_data"]) for name in words.split(_JOINED)
    }
    datasets = words_in_use(frame["dataset"])
    if not datasets or frame["dataset"].isna().any():
        return Relation("not stated", "the rows do not say which dataset they are of")
    unstated = frame["train_data"].isna().any() or not trained_on
    if unstated or any(name.startswith(_UNKNOWN) for name in trained_on):
        return Relation("not stated", "nobody says what it was trained on")
    overlaps = training_overlaps(frame, trained_on)
    if not overlaps:
        return Relation("cross", f"trained on {', '.join(sorted(trained_on))} only")
    trained = sum(one.trained for one in overlaps)
    unsaid = sum(one.unsaid for one in overlaps)
    if trained:
        return Relation("leak", f"{trained:,} of the {len(frame):,} rows are of its part {TRAIN}")
    if unsaid:
        return Relation(
            "unclear", f"{unsaid:,} of the {len(frame):,} rows do not say of which part they are"
        )
    return Relation("intra", f"parts {', '.join(words_in_use(frame['split']))} of its datasets")


def worst_relation(relations: Sequence[Relation]) -> Relation:
    """The one that a reader must know of, of several seeds of a model."""
    order = ("leak", "unclear", "not stated", "cross", "intra")
    return min(relations, key=lambda one: order.index(one.kind))
