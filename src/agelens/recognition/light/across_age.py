"""What epochs and weights are chosen by: verification where age makes it hard.

Pairs of one person count if their ages are far apart, pairs of two people if their ages are near:
an embedding that keeps age pushes the first apart and the second together.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from agelens.errors import TableError
from agelens.recognition.light.faces import IdentityFaces
from agelens.records import Floats

FALSE_MATCH_RATE: Final = 1e-3
_NEAR_YEARS: Final = 5.0
_FAR_SHARE: Final = 0.5
_MOST_OF_A_PERSON: Final = 20
_MOST_IMPOSTORS: Final = 100_000


@dataclass(frozen=True, slots=True, eq=False)
class AcrossAge:
    """Pairs of rows: `same` int64 [P, 2] of one person, `other` int64 [Q, 2] of two people.

    `weights` float64 [P] give every person of `same` the same say, and sum to 1.
    """

    same: NDArray[np.int64]
    other: NDArray[np.int64]
    weights: Floats

    def true_match_rate(self, vectors: NDArray[np.float32]) -> float:
        """Share of `same` that is more alike than all but 1 in 1,000 of `other`.

        Args:
            vectors: float32 [N, D], rows of length 1.
        """
        # One product of matrices is quicker than fetching the rows of every pair.
        cosines = vectors @ vectors.T
        same, other = (cosines[pairs[:, 0], pairs[:, 1]] for pairs in (self.same, self.other))
        threshold = np.quantile(other, 1 - FALSE_MATCH_RATE)
        return float(self.weights[same > threshold].sum())


def across_age(faces: IdentityFaces, seed: int = 0) -> AcrossAge:
    """The pairs of `faces` that age makes hard.

    Of each person the half of the pairs that are furthest apart in age, among at most 20 of their
    faces; of two people those at most 5 years apart, at most 100,000 of them, drawn by `seed`.

    Raises:
        TableError: nobody has two faces, or no two people are of nearly one age.
    """
    chance = np.random.default_rng(seed)
    rows = [
        chance.permutation(np.flatnonzero(faces.people == person))[:_MOST_OF_A_PERSON]
        for person in np.unique(faces.people)
    ]
    parts = [_furthest(row, faces.ages) for row in rows if len(row) > 1]
    other = _others(faces, chance)
    if not parts or not len(other):
        raise TableError(
            "validation needs a person with two faces, and two people of nearly one age; give more "
            "people, or a larger validation part"
        )
    weights = np.concatenate([np.full(len(part), 1 / len(part)) for part in parts]) / len(parts)
    return AcrossAge(np.concatenate(parts), other, weights)


def _furthest(rows: NDArray[np.int64], ages: Floats) -> NDArray[np.int64]:
    first, second = np.triu_indices(len(rows), 1)
    pairs = np.column_stack([rows[first], rows[second]])
    gaps = np.abs(ages[pairs[:, 0]] - ages[pairs[:, 1]])
    count = max(1, round(_FAR_SHARE * len(pairs)))
    return pairs[np.argsort(-gaps, kind="stable")[:count]]


def _others(faces: IdentityFaces, chance: np.random.Generator) -> NDArray[np.int64]:
    count = len(faces)
    drawn = chance.integers(0, count, (4 * _MOST_IMPOSTORS, 2))
    first, second = drawn.T
    near = np.abs(faces.ages[first] - faces.ages[second]) <= _NEAR_YEARS
    kept = drawn[near & (faces.people[first] != faces.people[second])]
    return np.asarray(kept[:_MOST_IMPOSTORS])
