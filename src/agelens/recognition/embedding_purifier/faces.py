"""What the light form is trained on: embeddings with people and ages."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from agelens.errors import TableError, UsageError
from agelens.recognition.embedding_table import EmbeddingModel, EmbeddingTable
from agelens.recognition.protocols.rates import age_kinds
from agelens.records import Floats

LEAST_PEOPLE: Final = 10
"""With fewer, nobody is left to validate on."""


@dataclass(frozen=True, slots=True, eq=False)
class IdentityFaces:
    """Faces of people who each have two or more, with ages.

    `vectors` float32 [N, D] have length 1; `people` int64 [N] numbers `names` from 0; `ages`
    float64 [N] are in years. `left_out` counts the rows of the table that are not here, by reason;
    `age_kinds` the others, by what their ages are, of which `age_models` made those that are
    estimated.
    """

    vectors: NDArray[np.float32]
    people: NDArray[np.int64]
    ages: NDArray[np.float64]
    names: tuple[str, ...]
    model: EmbeddingModel
    left_out: Mapping[str, int]
    age_kinds: Mapping[str, int]
    age_models: tuple[str, ...] = ()
    datasets: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.vectors)

    def take(self, rows: NDArray[np.bool_]) -> IdentityFaces:
        """The faces of the mask `rows` [N], whose people are numbered anew."""
        present, people = np.unique(self.people[rows], return_inverse=True)
        return replace(
            self,
            vectors=self.vectors[rows],
            people=people.astype(np.int64),
            ages=self.ages[rows],
            names=tuple(self.names[person] for person in present),
        )


def identity_faces(table: EmbeddingTable, least_people: int = LEAST_PEOPLE) -> IdentityFaces:
    """The rows of `table` from which purification can learn; the others are counted.

    Raises:
        TableError: no row has an age; or fewer than `least_people` people have two faces with
            embedding and age.
    """
    frame = table.frame
    if frame["age_years"].isna().all():
        raise TableError(
            "the embeddings have no ages, without which nothing tells what to take out: add them "
            "to the sample table before embedding it, model-made if need be (agelens data label)"
        )
    why = _why_not(table)
    rows = why.isna().to_numpy()
    person = _person(frame)[rows]
    names, people = np.unique(person.to_numpy(dtype=object).astype(str), return_inverse=True)
    if len(names) < least_people:
        raise TableError(
            f"purification needs {least_people} people with two faces or more each, with ages; the "
            f"table has {len(names)}. Left out: {_counts_text(why)}"
        )
    return IdentityFaces(
        vectors=table.vectors[rows],
        people=people.astype(np.int64),
        ages=frame["age_years"].to_numpy(dtype=np.float64)[rows],
        names=tuple(names.tolist()),
        model=table.model,
        left_out=_counted(why),
        age_kinds=age_kinds([table.take(rows)]),
        age_models=_values(frame[rows], "age_model"),
        datasets=_values(frame[rows], "dataset"),
    )


def _why_not(table: EmbeddingTable) -> pd.Series:
    """Why each row is of no use; missing where it is of use."""
    frame = table.frame
    why = pd.Series(pd.NA, index=frame.index, dtype="object")
    status = frame["status"].astype(str)
    why[~table.has_embedding] = "no embedding: " + status[~table.has_embedding]
    why[why.isna() & frame["subject"].isna()] = "no subject"
    why[why.isna() & frame["age_years"].isna()] = "no age"
    person = _person(frame)[why.isna()]
    alone = ~person.duplicated(keep=False)
    why[alone.index[alone]] = "the only face of its person"
    return why


def _person(frame: pd.DataFrame) -> pd.Series:
    return frame["dataset"].astype(str) + "/" + frame["subject"].astype(str)


def _counted(why: pd.Series) -> dict[str, int]:
    return {str(reason): int(count) for reason, count in why.value_counts().items()}


def _counts_text(why: pd.Series) -> str:
    return ", ".join(f"{count} {reason}" for reason, count in _counted(why).items()) or "none"


def _values(frame: pd.DataFrame, column: str) -> tuple[str, ...]:
    return tuple(sorted(frame[column].dropna().astype(str).unique())) if column in frame else ()


def split_by_subject(
    faces: IdentityFaces, valid_share: float, seed: int
) -> tuple[IdentityFaces, IdentityFaces]:
    """`faces` in two: a random `valid_share` of the people comes second, whole.

    The same names and seed give the same people, whatever the order of the rows.

    Raises:
        UsageError: either part would have fewer than two people.
    """
    count = round(valid_share * len(faces.names))
    if min(count, len(faces.names) - count) < 2:
        raise UsageError(
            f"{valid_share:g} of {len(faces.names)} people leave fewer than two in one part; "
            "choose a share nearer to 0.2, or give more people"
        )
    chosen = np.random.default_rng(seed).permutation(len(faces.names))[:count]
    valid = np.isin(faces.people, chosen)
    return faces.take(~valid), faces.take(valid)


def check_apart(train: IdentityFaces, valid: IdentityFaces) -> None:
    """Make sure that `valid` can choose among what is trained on `train`.

    Raises:
        TableError: two models made their embeddings.
        UsageError: a person is in both.
    """
    if train.model != valid.model:
        raise TableError(
            f"faces to choose by are of {valid.model}, those to learn of {train.model}: embed both "
            "with one extractor (agelens identity embed)"
        )
    both = sorted(set(train.names) & set(valid.names))
    if both:
        raise UsageError(
            f"{len(both)} people are among those to learn and among those to choose by, such as "
            f"{both[0]}: whoever is learned cannot say what helps with others"
        )


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
