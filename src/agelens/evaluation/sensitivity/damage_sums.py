"""Sums over faces under all conditions, and the means that follow from them."""

from __future__ import annotations

from typing import Final

import numpy as np

from agelens.evaluation.bootstrap.groupings import Codes
from agelens.evaluation.bootstrap.weights import drawn_weights
from agelens.evaluation.metrics.sums import ratio
from agelens.evaluation.sensitivity.estimates import StressEstimates
from agelens.records import Floats

_DRAWS_AT_A_TIME: Final = 100


class DamageSums:
    """Sums over faces, from which all values follow, under weights of people.

    For each condition [C]: errors damaged and clean of the same faces, and how many; shifts,
    their absolute values, and how many; errors of model and reference damaged and clean where both
    have estimates, and how many.
    """

    def __init__(
        self, estimates: StressEstimates, reference: StressEstimates | None, people: Codes
    ) -> None:
        years = estimates.estimates
        age = estimates.labels["age_years"].to_numpy(np.float64)[:, np.newaxis]
        shift, error = years - years[:, :1], np.abs(years - age)
        parts = [*_paired(error), *_counted(shift), *_counted(np.abs(shift))]
        if reference is not None:
            other = reference.for_samples(estimates.labels["sample_id"], estimates.conditions)
            of_both = np.where(np.isnan(other), np.nan, error)
            other = np.where(np.isnan(error), np.nan, np.abs(other - age))
            parts += [*_paired(of_both), *_paired(other)]
        self._conditions, self._terms = years.shape[1], len(parts)
        of_rows = np.stack(parts, axis=-1).reshape(len(years), -1)
        self._by_person = np.zeros((int(people.max()) + 1, of_rows.shape[1]))
        np.add.at(self._by_person, people, of_rows)

    def values(self) -> dict[str, Floats]:
        """Each mean [1, C] by name, everybody counting once."""
        return self._means(self._by_person.sum(axis=0, keepdims=True))

    def drawn(self, draws: int, seed: int) -> dict[str, Floats]:
        """Each mean [D, C] by name under resampling of people."""
        weights = drawn_weights(len(self._by_person), draws, seed, _DRAWS_AT_A_TIME)
        total = np.concatenate([part.astype(np.float64) @ self._by_person for part in weights])
        return self._means(total)

    def _means(self, total: Floats) -> dict[str, Floats]:
        sums = total.reshape(-1, self._conditions, self._terms)
        mean = [ratio(sums[..., at], sums[..., at + 1]) for at in range(0, self._terms, 2)]
        names = ("mae", "clean_mae", "shift", "absolute_shift")
        compared = ("own", "own_clean", "reference", "reference_clean")
        found = dict(zip((*names, *compared), mean, strict=False))
        return found | {"increase": found["mae"] - found["clean_mae"]}


def _paired(error: Floats) -> list[Floats]:
    """Errors [N, C] damaged and clean, each with its count, of faces that have both."""
    clean = np.broadcast_to(error[:, :1], error.shape)
    damaged = np.where(np.isnan(clean), np.nan, error)
    return [*_counted(damaged), *_counted(np.where(np.isnan(damaged), np.nan, clean))]


def _counted(values: Floats) -> list[Floats]:
    return [np.nan_to_num(values, nan=0.0), (~np.isnan(values)).astype(np.float64)]
