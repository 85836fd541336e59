"""What a metric is: its definition, the columns it reads, and how its number is to be read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from agelens.records import Floats

Cells: TypeAlias = NDArray[np.int64]
Marks: TypeAlias = NDArray[np.bool_]


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


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorRate(Sums):
    """A share of errors among some of the samples, of which there may be few or none.

    Resampling a table without errors says that there never is one. The interval of such a share
    is therefore `agelens.evaluation.rates.rate`'s.

    Args:
        marks: from the columns to what is an error [N], and to what it is counted among [N].
    """

    marks: Callable[..., tuple[Marks, Marks]]


def as_terms(terms: Floats) -> Floats:
    """Terms [N] or [N, T] as [N, T]."""
    return terms if terms.ndim == 2 else terms[:, np.newaxis]


@dataclass(frozen=True, slots=True)
class DependentRatio:
    """A metric whose terms must be made anew for every group of samples.

    Args:
        terms: from the columns of a whole group to its samples' terms above and below the
            line, [N] each.
    """

    terms: Callable[..., tuple[Floats, Floats]]

    def __call__(self, *columns: ArrayLike) -> float:
        """The metric of the samples in `columns`, [N] each; NaN where N is 0.

        Raises:
            ValueError: see the metric.
        """
        above, below = self.terms(*columns)
        return float(ratio(np.asarray(above.sum()), np.asarray(below.sum())))


@dataclass(frozen=True, slots=True)
class Median:
    """The median of one value a sample; of an even N the mean of the middle two.

    Args:
        values: from the metric's columns to the value of each sample [N].
    """

    values: Callable[..., Floats]

    def __call__(self, *columns: ArrayLike) -> float:
        """The metric of the samples in `columns`, [N] each; NaN where N is 0.

        Raises:
            ValueError: see the metric.
        """
        values = self.values(*columns)
        return float(np.median(values)) if values.size else float("nan")


def complete_numbers(**columns: ArrayLike) -> tuple[Floats, ...]:
    """The columns [N] as float64, in the order given.

    A metric leaves no row out by itself: which rows have no value, and how many, is its
    caller's to say.

    Raises:
        ValueError: a column is not [N], they differ in length, or one holds NaN.
    """
    numbers = {name: np.asarray(values, dtype=np.float64) for name, values in columns.items()}
    same_length(**numbers)
    for name, values in numbers.items():
        missing = np.isnan(values)
        if missing.any():
            raise ValueError(
                f"{name} holds {int(missing.sum())} missing values, the first at "
                f"{int(missing.argmax())}; count them and leave their rows out of every column"
            )
    return tuple(numbers.values())


def same_length(**columns: NDArray[np.generic]) -> None:
    """Raise unless all columns are [N] with one N.

    Raises:
        ValueError: they are not; their shapes are named.
    """
    shapes = {name: values.shape for name, values in columns.items()}
    if any(len(shape) != 1 for shape in shapes.values()) or len(set(shapes.values())) > 1:
        spelled = ", ".join(f"{name} {list(shape)}" for name, shape in shapes.items())
        raise ValueError(f"the columns of a metric are [N] with one N, got {spelled}")


Unit: TypeAlias = Literal["years", "share", "points", "not stated"]
Better: TypeAlias = Literal["lower", "higher", "nearer 0", "nearer its level", "not stated"]


class Statistic(Protocol):
    """A metric's definition: a number for columns [N].

    `Sums`, `Median` and `DependentRatio` can be resampled fast. Any other function is computed
    anew on the rows of every draw.
    """

    def __call__(self, *columns: ArrayLike) -> float:
        """The metric of N samples; NaN where it is not defined."""
        ...


@dataclass(frozen=True, slots=True)
class Metric:
    """A named metric.

    Args:
        statistic: its definition.
        needs: the columns it reads, in the order in which it takes them.
        unit: of its number. A ``share`` is between 0 and 1, also where papers print percent.
        better: which numbers are better.
        summary: what it says, in one line, with its definition.
    """

    statistic: Statistic
    needs: tuple[str, ...]
    unit: Unit
    better: Better
    summary: str

    def __call__(self, *columns: ArrayLike) -> float:
        """The metric of the columns it needs, [N] each; NaN where N is 0.

        Raises:
            ValueError: the columns differ in length, or one holds NaN: a metric leaves no
                row out by itself.
        """
        return self.statistic(*columns)
