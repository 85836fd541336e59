"""What a metric is: its definition, the columns it reads, and how its number is to be read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol, TypeAlias

from numpy.typing import ArrayLike

Unit: TypeAlias = Literal["years", "share", "points"]
Better: TypeAlias = Literal["lower", "higher", "nearer 0", "nearer its level"]


class Statistic(Protocol):
    """A metric's definition: a number for columns [N].

    One of `Sums`, `Median` and `DependentRatio`: each of them can be resampled fast.
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
