"""What the light form is trained on: embeddings with people and ages."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from agelens.errors import TableError
from agelens.recognition.embeddings import EmbeddingModel, EmbeddingTable


def generator(*entropy: int) -> torch.Generator:
    """A generator on the CPU, seeded from the numbers `entropy`, each at least 0."""
    return torch.Generator().manual_seed(_word(*entropy))


def seed_torch(*entropy: int) -> None:
    """Seed what torch draws first weights from, without loading Lightning."""
    torch.manual_seed(_word(*entropy))


def batches(faces: int, size: int, *entropy: int) -> tuple[Tensor, ...]:
    """Rows int64 of each batch of one epoch, in an order drawn from the numbers `entropy`.

    All faces come, in batches as equal as can be of at least `size` faces (all of them, where they
    are fewer): one of a single face would have no variance to normalise by.
    """
    order = np.random.default_rng(np.random.SeedSequence(entropy)).permutation(faces)
    return torch.from_numpy(order).tensor_split(max(1, faces // size))


def _word(*entropy: int) -> int:
    return int(np.random.SeedSequence(entropy).generate_state(1)[0])


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


def identity_faces(table: EmbeddingTable) -> IdentityFaces:
    """The rows of `table` from which purification can learn; the others are counted.

    Raises:
        TableError: no row has an age; or fewer than `LEAST_PEOPLE` people have two faces with
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
    if len(names) < LEAST_PEOPLE:
        raise TableError(
            f"purification needs {LEAST_PEOPLE} people with two faces or more each, with ages; the "
            f"table has {len(names)}. Left out: {_counts_text(why)}"
        )
    return IdentityFaces(
        vectors=table.vectors[rows],
        people=people.astype(np.int64),
        ages=frame["age_years"].to_numpy(dtype=np.float64)[rows],
        names=tuple(names.tolist()),
        model=table.model,
        left_out=_counted(why),
        age_kinds=_kinds(frame[rows]),
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


def _kinds(frame: pd.DataFrame) -> dict[str, int]:
    if "age_kind" not in frame:
        return {"not stated": len(frame)}
    kinds = frame["age_kind"].astype("object").fillna("not stated").value_counts()
    return {str(kind): int(count) for kind, count in kinds.items()}
