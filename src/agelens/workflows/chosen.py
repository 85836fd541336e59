"""Which labelled faces are taken, and whose card is asked: before anything heavy is loaded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from agelens.errors import UsageError
from agelens.evaluation.finished_runs import run_folder
from agelens.inference.cards import CARD_FILE, Card, load_card


def card_of(model: Any) -> Card:
    """The card of a model; a run that was not exported yet is."""
    card = getattr(model, "card", None)
    if isinstance(card, Card):  # of an estimator
        return card
    folder = run_folder(model)
    if folder is not None and not (folder / CARD_FILE).is_file():
        from agelens.training.run import load_run  # noqa: PLC0415 - loads torch

        return load_run(folder).estimator().card
    return load_card(str(folder or model))


ALL: Final = "all"
"""In place of a part: every row."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """Which labelled faces are taken.

    Args:
        split: a protocol's name, ``column``, or a folder of `agelens data split`; None takes the
            run's own for its own store, else the part that the table says.
        split_seed: of the protocol.
        fold: which split, where there are several.
        part: only this part, or ``all``; of a run's own store it is ``test`` unless given.
        limit: at most so many, drawn at random: the first would be of few people.
        seed: of that draw.
    """

    split: str | None = None
    split_seed: int = 0
    fold: int | str | None = None
    part: str | None = None
    limit: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        if self.limit is not None and self.limit < 1:
            raise UsageError(f"--limit is at least 1, got {self.limit}")
