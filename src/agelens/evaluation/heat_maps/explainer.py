"""The contract of what explains an estimate."""

from __future__ import annotations

from typing import Protocol, Self

from agelens.evaluation.heat_maps.heat_map import HeatMap
from agelens.records import RGB


class Explainer(Protocol):
    """Makes heat maps of one network's estimates by one method."""

    def __call__(self, chip: RGB) -> HeatMap:
        """The map of one aligned chip, uint8 [S, S, 3] as the network's card asks for."""

    def with_shuffled_weights(self, share: float, seed: int) -> Self:
        """The same method on a network with weights of no meaning, for the sanity check.

        Args:
            share: of the layers, counted from the answer back to the chip, in (0, 1].
            seed: of the shuffling.
        """
