"""Age scales: from probabilities over age classes to an expected age, quantiles, an interval.

A network that classifies answers with a posterior [N, K] over K ages. Its mean is the
expected age (Rothe et al., DEX, IJCV 2018); under absolute error the best single answer
is the median instead. Quantiles need ages between the classes, so each class's mass
counts as spread evenly over a cell of the age axis.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from agelens.records import Floats

_SUM_TOLERANCE = 1e-3
_NEGATIVE_TOLERANCE = 1e-6


@dataclass(frozen=True, slots=True)
class AgeScale:
    """The ages, in years, that the classes of a posterior stand for.

    The scale of the default model is ``AgeScale((0.25, *range(1, 81)))``: its class 0
    holds the first year of life and counts as a quarter year.

    Args:
        years: K >= 2 finite ages from 0 up, strictly ascending.

    Raises:
        ValueError: `years` is no such sequence.
    """

    years: tuple[float, ...]

    def __post_init__(self) -> None:
        years = np.asarray(self.years, dtype=np.float64)
        if years.ndim != 1 or years.size < 2:
            raise ValueError(f"an age scale needs at least 2 ages in a row, got {self.years!r}")
        if not np.isfinite(years).all() or years[0] < 0 or (np.diff(years) <= 0).any():
            raise ValueError(
                f"ages must be finite, at least 0 and strictly ascending, got {self.years!r}"
            )
        object.__setattr__(self, "years", tuple(years.tolist()))

    @classmethod
    def yearly(cls, first: int, last: int) -> AgeScale:
        """Every whole year from `first` to `last`, both included.

        Raises:
            ValueError: `first` is below 0 or not below `last`.
        """
        return cls(tuple(range(first, last + 1)))

    @classmethod
    def parse(cls, text: str) -> AgeScale:
        """The scale that `text` names: ages and ranges of whole years, ``"0.25,1-80"``.

        Raises:
            ValueError: a part is neither a number nor a range, or the ages are no scale.
        """
        return cls(
            tuple(year for part in str(text).split(",") for year in _span(part.strip(), text))
        )

    def __str__(self) -> str:
        """As `parse` reads it, to the last digit."""
        runs: list[list[float]] = []
        for year in self.years:
            if runs and runs[-1][-1].is_integer() and year == runs[-1][-1] + 1:
                runs[-1].append(year)
            else:
                runs.append([year])
        ends = [(run[0], run[-1]) if len(run) > 1 else (run[0],) for run in runs]
        return ",".join("-".join(_shortest(year) for year in end) for end in ends)

    def __len__(self) -> int:
        return len(self.years)

    @property
    def edges_years(self) -> Floats:
        """Borders [K + 1] of the cells, ascending: class k owns edges k to k + 1.

        Neighbours share the border halfway between them; the two end cells reach as far
        out as in, but not below age 0.
        """
        years = np.asarray(self.years)
        halfway = (years[:-1] + years[1:]) / 2
        first = max(0.0, 2 * years[0] - halfway[0])
        return np.concatenate([[first], halfway, [2 * years[-1] - halfway[-1]]])

    def normalise(self, posterior: ArrayLike) -> Floats:
        """`posterior` [N, K] as float64, each row non-negative and summing to 1.

        Sums within 1e-3 of 1 and negatives down to -1e-6, as float32 networks leave them,
        are put right.

        Raises:
            ValueError: wrong shape, a value that is not finite, a larger negative, or a
                row that sums to zero or to anything else further from 1.
        """
        rows = np.asarray(posterior, dtype=np.float64)
        if rows.ndim != 2 or rows.shape[1] != len(self):
            raise ValueError(
                f"a posterior over this scale has shape [N, {len(self)}], got {list(rows.shape)}"
            )
        _refuse(~np.isfinite(rows).all(axis=1), "holds NaN or infinity")
        _refuse((rows < -_NEGATIVE_TOLERANCE).any(axis=1), "holds negative probabilities")
        rows = np.maximum(rows, 0.0)
        sums = rows.sum(axis=1, keepdims=True)
        _refuse(sums[:, 0] == 0, "sums to zero")
        _refuse(
            np.abs(sums[:, 0] - 1) > _SUM_TOLERANCE,
            f"does not sum to 1 within {_SUM_TOLERANCE}; are these logits without softmax?",
        )
        return np.asarray(rows / sums, dtype=np.float64)

    def expected(self, posterior: ArrayLike) -> Floats:
        """Expected age [N] in years of each row of `posterior` [N, K].

        Raises:
            ValueError: see `normalise`.
        """
        return np.asarray(self.normalise(posterior) @ np.asarray(self.years), dtype=np.float64)

    def quantile(self, posterior: ArrayLike, q: float) -> Floats:
        """Age [N] in years below which the share `q` of each row's mass lies.

        The mass of a class is spread evenly over its cell, so the distribution function is
        a chain of straight lines and the answer moves smoothly with the posterior, except
        across classes of no mass at all: between two separate peaks of one half each, any
        age is a median, and the lowest is given. ``q=0`` and ``q=1`` are the ends of the mass.
        A one-hot row on class 30 of a yearly scale has quantiles from 29.5 to 30.5.

        Raises:
            ValueError: `q` is outside [0, 1], or see `normalise`.
        """
        if not 0 <= q <= 1:
            raise ValueError(f"a quantile is between 0 and 1, got {q}")
        return self._invert(self._cumulative(posterior), q)

    def median(self, posterior: ArrayLike) -> Floats:
        """Median age [N] in years of each row of `posterior` [N, K]; see `quantile`."""
        return self.quantile(posterior, 0.5)

    def interval(self, posterior: ArrayLike, level: float) -> tuple[Floats, Floats]:
        """Low and high [N] in years of the central interval that holds the share `level`.

        Equal mass lies below and above it. It is the model's own claim: how often true
        ages fall inside is a matter of measuring.

        Raises:
            ValueError: `level` is not strictly between 0 and 1, or see `normalise`.
        """
        if not 0 < level < 1:
            raise ValueError(f"an interval's level is strictly between 0 and 1, got {level}")
        cumulative = self._cumulative(posterior)
        tail = (1 - level) / 2
        return self._invert(cumulative, tail), self._invert(cumulative, 1 - tail)

    def _cumulative(self, posterior: ArrayLike) -> Floats:
        """Mass [N, K + 1] below each edge; exactly 0 at the first and 1 at the last."""
        cumulative = np.cumsum(self.normalise(posterior), axis=1)
        # Divided again: the running sum may end a rounding away from 1, out of reach of q = 1.
        cumulative /= cumulative[:, -1:]
        return np.asarray(np.pad(cumulative, ((0, 0), (1, 0))), dtype=np.float64)

    def _invert(self, cumulative: Floats, q: float) -> Floats:
        """Where each row of `cumulative` [N, K + 1] first reaches `q`; for 0, where it leaves 0."""
        passed = cumulative[:, 1:] < q if q > 0 else cumulative[:, 1:] <= 0
        cell = passed.sum(axis=1)
        row = np.arange(len(cumulative))
        below, above = cumulative[row, cell], cumulative[row, cell + 1]
        edges = self.edges_years
        low, high = edges[cell], edges[cell + 1]
        inside = low + (q - below) / (above - below) * (high - low)
        return np.asarray(np.minimum(inside, high), dtype=np.float64)


def _span(part: str, text: str) -> Sequence[float]:
    """The ages of one part of `AgeScale.parse`: a number, or a range of whole years."""
    try:
        return [float(part)]  # first of all, since 1e-05 is a number with a dash in it
    except ValueError:
        first, _, last = part.partition("-")
    try:
        years = range(int(first), int(last) + 1)
    except ValueError:
        years = range(0)
    if not years:
        raise ValueError(
            f"an age scale is ages and ranges of whole years, such as 0-100 or 0.25,1-80; "
            f"{part!r} in {text!r} is neither"
        )
    return years


def _shortest(year: float) -> str:
    return str(int(year)) if year.is_integer() else repr(year)


def _refuse(bad: NDArray[np.bool_] | np.bool_, complaint: str) -> None:
    """Name the first row that `bad` [N] marks."""
    if bad.any():
        raise ValueError(f"row {int(np.argmax(bad))} of the posterior {complaint}")
