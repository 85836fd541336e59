"""How much age an embedding still tells: the error of a linear probe.

A ridge regression of age on the embedding, tested on people whom it has not seen. What it cannot
tell, another kind of network may; what it can tell is surely there.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import linalg

from agelens.errors import TableError
from agelens.recognition.embedding_table import EmbeddingTable
from agelens.recognition.protocols.rates import Resampling, known_people, people_of, years_of
from agelens.records import Floats

Codes: TypeAlias = NDArray[np.int64]

FOLDS: Final = 5
_PENALTIES: Final = np.logspace(-4, 4, 9)
"""Beside unit variance on average a dimension, for one sample."""


@dataclass(frozen=True, slots=True)
class AgeProbe:
    """Mean absolute error in years of ages told from embeddings, on people not seen.

    `constant_mae_years` is that of always saying the median age of the others: an embedding that
    holds no age reaches no less. Intervals are by bootstrap over people. `samples` were probed,
    `left_out` lacked embedding, subject or age.
    """

    mae_years: float
    low_years: float
    high_years: float
    constant_mae_years: float
    samples: int
    people: int
    left_out: int

    def to_json(self) -> dict[str, Any]:
        """Plain types by name."""
        return asdict(self)


def age_probe(
    table: EmbeddingTable, *, seed: int = 0, resampling: Resampling | None = None
) -> AgeProbe:
    """Probe the embeddings of `table` for its `age_years`, in five folds of people.

    The penalty of each fold's regression is chosen on the people of the other four.

    Args:
        table: with subjects and ages.
        seed: of the folds.
        resampling: of the interval.

    Raises:
        TableError: fewer than ten people have an embedding with an age.
    """
    (everyone,) = people_of([table])
    years = years_of(table)
    usable = known_people(table) & np.isfinite(years)
    _, people = np.unique(everyone[usable], return_inverse=True)
    if people.max(initial=-1) + 1 < 2 * FOLDS:
        raise TableError(
            f"a probe for age needs {2 * FOLDS} people with embedding and age; the table has "
            f"{people.max(initial=-1) + 1}"
        )
    errors, constant = probe_errors(table.vectors[usable], years[usable], people, seed=seed)
    how = resampling or Resampling()
    low, high = how.ends(_drawn_means(errors, people, how), float(errors.mean()))
    return AgeProbe(
        float(errors.mean()),
        low,
        high,
        float(constant.mean()),
        len(errors),
        int(people.max()) + 1,
        int((~usable).sum()),
    )


def probe_errors(
    vectors: ArrayLike, ages: ArrayLike, people: ArrayLike, *, seed: int = 0
) -> tuple[Floats, Floats]:
    """Absolute errors [N] in years of the probe, and of the others' median age.

    Args:
        vectors: [N, D].
        ages: in years [N].
        people: a number from 0 for each face's person [N]; ten or more.
        seed: of the folds.
    """
    x, y = np.asarray(vectors, dtype=np.float64), np.asarray(ages, dtype=np.float64)
    who = np.asarray(people, dtype=np.int64)
    errors, constant = np.empty(len(y)), np.empty(len(y))
    for inside, outside in _folds(who, seed):
        penalty = _best_penalty(x[inside], y[inside], who[inside], seed)
        told = _told(x[inside], y[inside], x[outside], np.array([penalty]))[:, 0]
        errors[outside] = np.abs(told - y[outside])
        constant[outside] = np.abs(np.median(y[inside]) - y[outside])
    return errors, constant


def _best_penalty(x: Floats, y: Floats, who: Codes, seed: int) -> float:
    sums = np.zeros(len(_PENALTIES))
    for inside, outside in _folds(who, seed + 1):
        told = _told(x[inside], y[inside], x[outside], _PENALTIES)
        sums += np.abs(told - y[outside, np.newaxis]).sum(axis=0)
    return float(_PENALTIES[sums.argmin()])


def _told(x: Floats, y: Floats, asked: Floats, penalties: Floats) -> Floats:
    """Ages [M, P] of `asked` [M, D] by the regression of `y` on `x` [N, D] under each penalty."""
    centre, middle = x.mean(axis=0), y.mean()
    # The penalty means the same for embeddings of any length and width.
    size = np.sqrt((x - centre).var(axis=0).mean()) or 1.0
    spread = (x - centre) / size
    values, axes = linalg.eigh(spread.T @ spread)
    along = axes.T @ (spread.T @ (y - middle))
    weights = axes @ (along[:, np.newaxis] / (values[:, np.newaxis] + penalties))
    return np.asarray((asked - centre) / size @ weights + middle)


def _folds(who: Codes, seed: int) -> Iterator[tuple[NDArray[np.bool_], NDArray[np.bool_]]]:
    """Rows inside and outside of each fold; nobody is in both."""
    people = np.unique(who)
    order = np.random.default_rng(seed).permutation(len(people))
    fold = np.empty(len(people), dtype=np.int64)
    fold[order] = np.arange(len(people)) % FOLDS
    of_row = fold[np.searchsorted(people, who)]
    for number in range(FOLDS):
        yield of_row != number, of_row == number


def _drawn_means(errors: Floats, people: Codes, how: Resampling) -> Floats:
    """The mean error under each drawing of people."""
    if not how.draws:
        return np.full(1, np.nan)
    sums, counts = np.bincount(people, errors), np.bincount(people)
    chance = np.random.default_rng(how.seed)
    drawn = chance.integers(0, len(sums), (how.draws, len(sums)))
    return np.asarray(sums[drawn].sum(axis=1) / counts[drawn].sum(axis=1))
