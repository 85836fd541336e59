"""Chips of a part as its stores have them, with their ages: some, or all."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from agelens.records import RGB, Floats
from agelens.training.part_chips import PartChips

_BATCH = 32


class PartSample:
    """Batches of chips uint8 [N, S, S, 3] and ages in years [N]; may be drawn repeatedly.

    Args:
        part: what the chips are of.
        at_most: how many, spread evenly over the part; None for all.
    """

    def __init__(self, part: PartChips, at_most: int | None = None) -> None:
        self.part = part
        count = len(part) if at_most is None else min(at_most, len(part))
        self.places = np.linspace(0, len(part) - 1, count).round().astype(np.int64)

    def __len__(self) -> int:
        return len(self.places)

    def __iter__(self) -> Iterator[tuple[RGB, Floats]]:
        ages = self.part.age_years.numpy().astype(np.float64)
        for start in range(0, len(self.places), _BATCH):
            places = self.places[start : start + _BATCH]
            yield np.stack([self._chip(int(place)) for place in places]), ages[places]

    def _chip(self, place: int) -> RGB:
        home = int(np.searchsorted(self.part.starts, place, side="right")) - 1
        data = self.part.datasets[home]
        return data.store[int(data.rows[place - self.part.starts[home]])]
