"""Ages that a method's scale does not hold."""

from __future__ import annotations

from typing import Literal

from agelens.ages import AgeScale
from agelens.errors import UsageError
from agelens.tables import SampleTable

OutsideAges = Literal["refuse", "drop"]


def inside_ages(
    table: SampleTable, scale: AgeScale, part: str, outside: OutsideAges
) -> tuple[SampleTable, list[str]]:
    """The rows whose age lies in a cell of `scale`, and a note where others were dropped.

    Raises:
        UsageError: some do not, and `outside` is ``refuse``; or none does.
    """
    ages = table.frame["age_years"]
    low, high = scale.edges_years[[0, -1]]
    beyond = ((ages < low) | (ages > high)).to_numpy()  # unknown ages are left out elsewhere
    if not beyond.any():
        return table, []
    what = (
        f"{beyond.sum()} of {len(table)} samples of the {part} part have ages outside the "
        f"method's scale, {scale}: theirs reach from {ages[beyond].min():g} to "
        f"{ages[beyond].max():g}"
    )
    if outside == "refuse":
        raise UsageError(
            f"{what}. Take a wider scale with --method.ages, such as "
            f"0-{max(100, int(ages.max()) + 1)}, or leave them out with --data.outside_ages drop"
        )
    if beyond.all():
        raise UsageError(f"{what}; nothing is left to learn from")
    return SampleTable(table.frame[~beyond], table.extra), [f"{what}; they were left out"]
