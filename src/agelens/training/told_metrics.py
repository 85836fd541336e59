"""Figures of answers as they come: of training batches, and of what is told beside an age."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from agelens.inference.answers import OutputSpec, read_answers
from agelens.records import Floats
from agelens.training.epoch_metrics import all_gather_objects

_WAITING: Final = 32


class TrainingErrors:
    """MAE and CS@5 of the training batches of an epoch, as the network answered while it learned.

    Of augmented chips, before each step and with dropout: what authors print beside the loss.
    Answers wait for each other, so that no step waits for a device; each batch is summed by
    itself, so that a resumed epoch has the same figures.

    Args:
        spec: what an answer's numbers are.
    """

    def __init__(self, spec: OutputSpec) -> None:
        self._spec = spec
        self._waiting: list[tuple[Tensor, Tensor]] = []
        self._sums = [0.0, 0.0, 0.0]

    def add(self, answers: Tensor, age_years: Tensor) -> None:
        """`answers` [B, width] to samples of `age_years` [B]."""
        self._waiting.append((answers.detach(), age_years))
        if len(self._waiting) >= _WAITING:
            self._reckon()

    def means(self) -> dict[str, float]:
        """`mae` in years and `cs5` as a share over all processes, since last asked for."""
        self._reckon()
        mine, self._sums = self._sums, [0.0, 0.0, 0.0]
        samples, errors, small = (sum(one) for one in zip(*all_gather_objects(mine), strict=True))
        return {"mae": errors / samples, "cs5": small / samples} if samples else {}

    def _reckon(self) -> None:
        for answers, age_years in self._waiting:
            rows = answers.double().cpu().numpy()
            sound = np.isfinite(rows).all(axis=1)  # the rest is the loss's to complain about
            estimates = read_answers(rows[sound], self._spec).estimate_years
            errors = np.abs(estimates - age_years.double().cpu().numpy()[sound])
            found = (int(sound.sum()), float(errors.sum()), int((errors <= 5).sum()))
            self._sums = [total + more for total, more in zip(self._sums, found, strict=True)]
        self._waiting.clear()

    def state_dict(self) -> dict[str, Any]:
        """Numbers alone."""
        self._reckon()
        return {"sums": list(self._sums)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take up what `state_dict` gave."""
        self._waiting.clear()
        self._sums = list(state["sums"])


def told_accuracies(
    probabilities: Floats, told: Mapping[str, Sequence[str]], codes: Mapping[str, NDArray[np.int64]]
) -> dict[str, float]:
    """Shares of right words over the samples that have one, as ``gender_accuracy``.

    Args:
        probabilities: [N, words of all columns] in the order of `told`.
        told: the words of each column.
        codes: [N] by column: places among its words, below 0 where the label is unknown.
    """
    likeliest = likeliest_words(probabilities, told)
    return {
        f"{column}_accuracy": float((likeliest[column][0] == codes[column])[known].mean())
        for column in told
        if (known := codes[column] >= 0).any()
    }


def likeliest_words(
    probabilities: Floats, told: Mapping[str, Sequence[str]]
) -> dict[str, tuple[NDArray[np.int64], Floats]]:
    """The place [N] of the likeliest word of each column, and its probability [N]."""
    ends = np.cumsum([len(words) for words in told.values()])[:-1]
    parts = np.split(probabilities, ends, axis=1) if told else []
    return {
        column: (part.argmax(axis=1), part.max(axis=1))
        for column, part in zip(told, parts, strict=True)
    }
