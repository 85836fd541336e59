"""A way to put samples into groups, such as by gender or by age band."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from agelens.evaluation.metrics.base import Metric
from agelens.records import Floats


def percentile_interval(
    draws: Floats, level: float, *, holding: float = float("nan")
) -> tuple[float, float]:
    """Low and high end of the central share `level` of `draws` [D] (Efron, 1979).

    Draws in which the metric is not defined (NaN: nobody of the group was drawn) are left
    out; without any other, both ends are NaN.

    A maximum, such as the worst age's MAE or the gap between groups, grows when people are drawn
    anew, as each draw adds noise to every age: all draws may lie above the estimate. Where the
    estimate, given as `holding`, lies outside, the interval reaches up to it.

    Raises:
        ValueError: `level` is not strictly between 0 and 1.
    """
    if not 0 < level < 1:
        raise ValueError(f"an interval's level is strictly between 0 and 1, got {level}")
    defined = draws[~np.isnan(draws)]
    if not defined.size:
        return float("nan"), float("nan")
    low, high = np.quantile(defined, [(1 - level) / 2, (1 + level) / 2])
    return float(np.fmin(low, holding)), float(np.fmax(high, holding))


Codes: TypeAlias = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Grouping:
    """G groups of N samples.

    Args:
        name: of the grouping.
        groups: names of the groups.
        codes: the group [N] of each sample; -1 is in none.

    Raises:
        ValueError: a code is of no group.
    """

    name: str
    groups: tuple[str, ...]
    codes: Codes

    def __post_init__(self) -> None:
        codes = np.asarray(self.codes, dtype=np.int64)
        if codes.ndim != 1 or (codes < -1).any() or (codes >= len(self.groups)).any():
            raise ValueError(f"{self.name}: codes are [N], from -1 to {len(self.groups) - 1}")
        object.__setattr__(self, "codes", codes)

    @classmethod
    def everybody(cls, count: int) -> Grouping:
        """One group of all `count` samples, the group and the grouping named ``everybody``."""
        return cls("everybody", ("everybody",), np.zeros(count, dtype=np.int64))

    @classmethod
    def by_words(cls, words: pd.Series) -> Grouping:
        """A group for each word in use of a column; rows without a word are in none."""
        codes, groups = pd.factorize(words, sort=True)
        return cls(str(words.name), tuple(map(str, groups)), codes.astype(np.int64))

    def __len__(self) -> int:
        return len(self.groups)


def person_codes(frame: pd.DataFrame) -> Codes:
    """A number [N] from 0 for the person of each row of a predictions table.

    Subjects of different datasets are different people; a row of unknown subject is
    somebody of its own, the same in all rows of that `sample_id`.
    """
    subject = frame["subject"].cat.codes.to_numpy(dtype=np.int64)
    dataset = frame["dataset"].cat.codes.to_numpy(dtype=np.int64)
    known = subject >= 0
    sample = np.zeros(len(frame), dtype=np.int64)
    if not known.all():  # looking at ten million names takes a gigabyte
        sample[~known], _ = pd.factorize(frame["sample_id"][~known])
    # Two ranges of keys that do not meet: known people below zero, samples from it up.
    person = -1 - (subject * (dataset.max(initial=0) + 2) + dataset + 1)
    codes, _ = pd.factorize(np.where(known, person, sample))
    return codes.astype(np.int64)


Columns: TypeAlias = Mapping[str, NDArray[Any]]
"""Columns [N] by name; NaN or None where a row has no value."""


def complete_rows(columns: Columns, needs: tuple[str, ...]) -> NDArray[np.bool_]:
    """Which rows [N] have a value in every column of `needs`."""
    missing = [np.asarray(pd.isna(columns[name])) for name in needs]
    return np.asarray(~np.any(missing, axis=0))


def measured_columns(
    metric: Metric, columns: Columns, rows: NDArray[Any] | slice
) -> tuple[NDArray[Any], ...]:
    """The columns that `metric` takes, of `rows` only."""
    return tuple(columns[name][rows] for name in metric.needs)


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
