"""Whether a mean difference could be chance: the sign-flip permutation test, by person."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np

from agelens.evaluation.bootstrap.groupings import Codes
from agelens.records import Floats

_BYTES_AT_A_TIME: Final = 64_000_000
_TIE: Final = 1e-12
"""Of the sum of all sizes: sums of the same numbers in another order differ by less."""


def sign_flip_test(
    differences: Floats, people: Codes, *, flips: int = 10_000, seed: int = 0
) -> Floats:
    """Two-sided p-values [P] that the mean of each column of `differences` [N, P] is 0.

    If two models were equally good, their errors on a person could as well be the other way
    round: all differences of the person would change sign together (Fisher's randomisation
    test; Ernst, Statistical Science 2004). The p-value is the share of such worlds whose
    mean difference is as large. Where there are at most `flips` of them all are counted, else
    `flips` are drawn and the world as it is counts as one more, so that no p-value is 0.

    Args:
        differences: of two models' errors on each sample, a column for each pair of models.
        people: the person [N] of each sample, numbered from 0.
        flips: how many sign changes are drawn.
        seed: of the draws.
    """
    count = int(people.max(initial=-1)) + 1
    sums = np.stack(
        [np.bincount(people, weights=column, minlength=count) for column in differences.T], axis=1
    )
    observed = np.abs(sums.sum(axis=0)) - _TIE * np.abs(sums).sum(axis=0)
    exact = count < 63 and 2**count <= flips
    signs = _all_signs(count) if exact else _drawn_signs(count, flips, seed)
    as_large = np.zeros(sums.shape[1])
    for part in signs:
        as_large += (np.abs(part @ sums) >= observed).sum(axis=0)
    return np.asarray(as_large / 2**count if exact else (as_large + 1) / (flips + 1))


def _all_signs(people: int) -> Iterator[Floats]:
    worlds = np.arange(2**people)[:, np.newaxis] >> np.arange(people)
    yield np.asarray(1 - 2 * (worlds & 1), dtype=np.float64)


def _drawn_signs(people: int, flips: int, seed: int) -> Iterator[Floats]:
    random = np.random.default_rng(seed)
    at_a_time = max(1, _BYTES_AT_A_TIME // (8 * people))
    for start in range(0, flips, at_a_time):
        size = (min(at_a_time, flips - start), people)
        yield 1 - 2 * random.integers(0, 2, size, dtype=np.int8).astype(np.float64)
