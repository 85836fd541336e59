"""Ranks of models, and whether they could be chance: Friedman's test with Nemenyi's distance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy import stats

from agelens.evaluation.bootstrap.groupings import percentile_interval
from agelens.records import Floats

ENOUGH_BLOCKS: Final = 10
"""From so many blocks on is Friedman's p-value near enough (Demsar, JMLR 2006)."""


@dataclass(frozen=True, slots=True)
class BlockRanks:
    """Ranks of K models in B blocks, such as seeds or datasets; 1 is the lowest error.

    `mean` and `spread` (standard deviation, NaN of one block) are by model. `p_value` is
    Friedman's, `critical_distance` how far mean ranks must be apart at `level` (Nemenyi); both
    are None of fewer than three models or two blocks. `alike` are the largest sets of models
    whose mean ranks are no farther apart than that.
    """

    blocks: tuple[str, ...]
    mean: dict[str, float]
    spread: dict[str, float]
    level: float
    p_value: float | None
    critical_distance: float | None
    alike: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class DrawnRank:
    """The rank of a model when people are drawn anew: mean, interval, and how often it is best."""

    mean: float
    low: float
    high: float
    best_share: float


def block_ranks(
    errors: Floats, models: Sequence[str], blocks: Sequence[str], *, level: float = 0.95
) -> BlockRanks:
    """Rank the errors [B, K] within each block; ties share their mean rank.

    After Demsar (JMLR 2006): Friedman's test asks whether all models could be equal; two
    differ where their mean ranks are ``q * sqrt(K * (K + 1) / (6 * B))`` apart, q being the
    studentised range's quantile for K models over the root of 2.
    """
    ranks = stats.rankdata(errors, axis=1)
    count, kinds = ranks.shape
    mean = ranks.mean(axis=0)
    spread = ranks.std(axis=0, ddof=1) if count > 1 else np.full(kinds, np.nan)
    p_value = distance = None
    if kinds > 2 and count > 1:
        p_value = _friedman(ranks)
        quantile = stats.studentized_range.ppf(level, kinds, np.inf) / np.sqrt(2)
        distance = float(quantile * np.sqrt(kinds * (kinds + 1) / (6 * count)))
    return BlockRanks(
        tuple(blocks),
        dict(zip(models, mean.tolist(), strict=True)),
        dict(zip(models, spread.tolist(), strict=True)),
        *(level, p_value, distance),
        () if distance is None else _alike(mean, models, distance),
    )


def drawn_ranks(draws: dict[str, Floats], level: float) -> dict[str, DrawnRank]:
    """Ranks of models by their MAE [D] in each draw of people, the same people for all."""
    errors = np.stack(list(draws.values()), axis=1)
    ranks = stats.rankdata(errors, axis=1)
    # Models that share the first place share the win.
    first = errors == errors.min(axis=1, keepdims=True)
    best = (first / first.sum(axis=1, keepdims=True)).mean(axis=0)
    found = {}
    for place, model in enumerate(draws):
        mean = float(ranks[:, place].mean())
        low, high = percentile_interval(ranks[:, place], level, holding=mean)
        found[model] = DrawnRank(mean, low, high, float(best[place]))
    return found


def _friedman(ranks: Floats) -> float:
    if (ranks == ranks[:, :1]).all():  # all tied everywhere: SciPy divides by zero
        return 1.0
    return float(stats.friedmanchisquare(*ranks.T).pvalue)


def _alike(mean: Floats, models: Sequence[str], distance: float) -> tuple[tuple[str, ...], ...]:
    """Runs of the models in the order of their mean ranks, none within another."""
    order = np.argsort(mean, kind="stable")
    found: list[tuple[int, int]] = []
    for start, place in enumerate(order):
        end = int((mean[order] <= mean[place] + distance).sum())
        if not found or end > found[-1][1]:
            found.append((start, end))
    return tuple(tuple(models[place] for place in order[start:end]) for start, end in found)
