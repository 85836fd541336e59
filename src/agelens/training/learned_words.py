"""The words that auxiliary heads tell apart, and whether there is something to learn."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from agelens.data.training_input import ChipDataset
from agelens.errors import UsageError
from agelens.training.network_input import Words
from agelens.training.part_chips import PartChips


def learned_words(wanted: Words, datasets: Sequence[ChipDataset]) -> Words:
    """`wanted` with an empty vocabulary filled in by the words of the train part, sorted."""
    return {
        column: words or tuple(sorted({one for data in datasets for one in data.classes[column]}))
        for column, words in wanted.items()
    }


def refuse_absent_words(part: PartChips, words: Words) -> None:
    """Check that `part` has samples of every word.

    Raises:
        UsageError: a column has fewer than two words, or one that no sample has.
    """
    for column, vocabulary in words.items():
        counts = torch.bincount(part.labels(column) + 1, minlength=len(vocabulary) + 1)[1:]
        absent = [word for word, count in zip(vocabulary, counts, strict=True) if not count]
        if not absent and len(vocabulary) > 1:
            continue
        known = ", ".join(word for word in vocabulary if word not in absent) or "none"
        raise UsageError(
            f"an auxiliary head on {column!r} needs samples of each of its classes to learn from: "
            f"the train part has none of {', '.join(absent) or 'a second class'} (it has {known}). "
            f"Leave {column!r} out of auxiliary.columns, or train on data that have it"
        )
