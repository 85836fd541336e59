"""How often each person is drawn."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

Weights: TypeAlias = NDArray[np.uint16]
"""[D, people]. Small, as a million people are drawn a thousand times; large enough, as nobody
of 65,535 people can be drawn more often, and of more the odds are 1 to 65,536 factorial."""

_BLOCK: Final = 2**16


def drawn_weights(people: int, draws: int, seed: int, at_a_time: int) -> Iterator[Weights]:
    """How often each of `people` is drawn when as many are drawn as there are.

    Args:
        people: how many there are.
        draws: how many rows come in all.
        seed: of the draws; how many come at a time does not change them.
        at_a_time: rows of each part.
    """
    random = np.random.default_rng(seed)
    for start in range(0, draws, at_a_time):
        weights = np.empty((min(at_a_time, draws - start), people), dtype=np.uint16)
        for row in weights:
            _draw(random, row)
        yield weights


def _draw(random: np.random.Generator, row: Weights) -> None:
    """Multinomial counts: first how many fall into each block, then on whom within it.

    The same distribution as drawing from all at once, of which a million counters fall out
    of the processor's cache.
    """
    starts = range(0, len(row), _BLOCK)
    sizes = np.array([min(_BLOCK, len(row) - start) for start in starts], dtype=np.int64)
    counts = random.multinomial(len(row), sizes / max(len(row), 1)) if len(sizes) > 1 else sizes
    for start, size, count in zip(starts, sizes, counts, strict=True):
        whom = random.integers(0, size - 1, count, dtype=np.uint16, endpoint=True)
        row[start : start + size] = np.bincount(whom, minlength=size)
