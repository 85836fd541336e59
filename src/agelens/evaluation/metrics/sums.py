"""Metrics that follow from sums over samples, such as every mean.

Sums add up: over batches, over people, over draws of a bootstrap. A metric of this kind is
known once it says what a sample adds, and what its value is, given the sums.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from agelens.records import Floats

Cells: TypeAlias = NDArray[np.int64]


def ratio(numerator: Floats, denominator: Floats) -> Floats:
    """The quotient, NaN where there is nothing to divide by."""
    empty = np.full(np.broadcast_shapes(numerator.shape, denominator.shape), np.nan)
    return np.asarray(np.divide(numerator, denominator, out=empty, where=denominator > 0))


def mean_of_all(sums: Floats, counts: Floats) -> Floats:
    """First term's sum over the count [...], over all cells together."""
    return ratio(sums[..., 0].sum(axis=-1), counts.sum(axis=-1))


@dataclass(frozen=True, slots=True)
class Sums:
    """A metric as a function of sums.

    Args:
        terms: from the metric's columns to what each sample adds, [N] or [N, T].
        finish: from the sums [..., C, T] and the number of samples [..., C] in each of C
            cells to the metric [...]; NaN where it is not defined.
        cells: from the columns to the cell of each sample, [N] from 0; None is one cell.
    """

    terms: Callable[..., Floats]
    finish: Callable[[Floats, Floats], Floats] = mean_of_all
    cells: Callable[..., Cells] | None = None

    def __call__(self, *columns: ArrayLike) -> float:
        """The metric of the samples in `columns`, [N] each; NaN where N is 0.

        Raises:
            ValueError: see the metric.
        """
        terms = as_terms(self.terms(*columns))
        if self.cells is None:
            sums, counts = terms.sum(axis=0, keepdims=True), np.array([float(len(terms))])
            return float(self.finish(sums, counts))
        cells = self.cells(*columns)
        counts = np.bincount(cells).astype(np.float64)
        sums = np.stack([np.bincount(cells, weights=term) for term in terms.T], axis=-1)
        return float(self.finish(sums, counts))


def as_terms(terms: Floats) -> Floats:
    """Terms [N] or [N, T] as [N, T]."""
    return terms if terms.ndim == 2 else terms[:, np.newaxis]
