"""What the randomisation check found, and what that says of a method."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

ALIKE: Final = 0.5
"""Maps of a network of no meaning that correlate by more than this explain no network."""

ENOUGH: Final = 4
"""Faces; a coarse map has so few places that a single pair of them says little."""


@dataclass(frozen=True, slots=True)
class Alikeness:
    """How alike the maps of a network are before and after some of its layers are shuffled.

    `share` of the layers, from the answer back. Means over `maps` faces: `rank_correlation` of
    the values, `rank_correlation_absolute` without their signs, and
    `structural_similarity`. NaN where no pair of maps has one.
    """

    share: float
    maps: int
    rank_correlation: float
    rank_correlation_absolute: float
    structural_similarity: float

    def to_json(self) -> dict[str, Any]:
        """Plain JSON types; null for what is not defined."""
        return {
            name: None if math.isnan(value) else round(value, 4)
            for name in self.__slots__
            for value in [getattr(self, name)]
        }


def verdict(found: Sequence[Alikeness]) -> str:
    """What the last step, with the most layers shuffled, says of the method."""
    last = found[-1]
    if math.isnan(last.rank_correlation):
        return "no verdict: the maps of the shuffled network are the same everywhere"
    alike = max(last.rank_correlation, last.rank_correlation_absolute)
    shuffled = f"{100 * last.share:g} % of the layers shuffled"
    if alike > ALIKE:
        said = (
            f"FAILED: with {shuffled} the network still has much the same maps (rank correlation "
            f"{alike:.2f}): they show the picture, not what the network learnt"
        )
    else:
        said = (
            f"passed: the maps change with the weights (rank correlation {alike:.2f} with "
            f"{shuffled})"
        )
    if last.maps < ENOUGH:
        said += f". Coarse maps can be alike by chance: {ENOUGH} photos or more prove more"
    return said
