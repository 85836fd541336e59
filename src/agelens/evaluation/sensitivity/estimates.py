"""Estimates of the same faces under several conditions, and their table on disk."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from agelens.errors import TableError, UsageError
from agelens.evaluation.bootstrap.groupings import Codes, drawn_weights
from agelens.evaluation.metrics.base import ratio
from agelens.evaluation.sensitivity.conditions import CLEAN, Condition
from agelens.foreign_files import decoding
from agelens.records import Floats

LABELS: Final = ("sample_id", "dataset", "subject", "age_years", "age_kind")
_COLUMNS: Final = (*LABELS, "model", "corruption", "severity", "estimate_years", "status")


@dataclass(frozen=True, slots=True, eq=False)
class StressEstimates:
    """What one model says of N faces under C conditions, the first of them `CLEAN`.

    `labels` has the columns `LABELS` of a sample table; `estimates` [N, C] are years, NaN where
    `statuses` [N, C] say why there is none.

    Raises:
        ValueError: other shapes, no clean condition first, or a sample twice.
    """

    model: str
    labels: pd.DataFrame
    conditions: tuple[Condition, ...]
    estimates: Floats
    statuses: NDArray[np.object_]

    def __post_init__(self) -> None:
        shape = (len(self.labels), len(self.conditions))
        if self.estimates.shape != shape or self.statuses.shape != shape:
            raise ValueError(f"estimates and statuses are {shape}, got {self.estimates.shape}")
        if not self.conditions or self.conditions[0] != CLEAN:
            raise ValueError("the first condition is the clean one")
        if self.labels["sample_id"].duplicated().any():
            raise ValueError("a sample stands there twice")

    def __len__(self) -> int:
        return len(self.labels)

    def to_frame(self) -> pd.DataFrame:
        """A row for each face and condition, face by face."""
        count = len(self.conditions)
        frame = self.labels[list(LABELS)].iloc[np.repeat(np.arange(len(self)), count)]
        return frame.assign(
            model=self.model,
            corruption=np.tile([one.corruption for one in self.conditions], len(self)),
            severity=np.tile([one.severity for one in self.conditions], len(self)),
            estimate_years=self.estimates.ravel(),
            status=self.statuses.ravel(),
        ).reset_index(drop=True)

    @classmethod
    def read(cls, path: Path) -> Self:
        """Estimates that `to_frame` gave, from a Parquet file.

        Raises:
            TableError: the file is another one.
        """
        with decoding(path, "estimates of agelens stress", TableError):
            frame = pd.read_parquet(path, columns=list(_COLUMNS))
        first = frame["sample_id"] == frame["sample_id"].iloc[:1].squeeze()
        found = tuple(
            Condition(str(name), int(severity))
            for name, severity in frame.loc[first, ["corruption", "severity"]].to_numpy()
        )
        if not found or len(frame) % len(found):
            raise TableError(f"{path}: not every face has the same conditions")
        shape = (len(frame) // len(found), len(found))
        labels = frame.iloc[:: len(found)][list(LABELS)].reset_index(drop=True)
        return cls(
            str(frame["model"].iloc[0]),
            labels.astype({"subject": "category", "dataset": "category"}),
            found,
            frame["estimate_years"].to_numpy(np.float64).reshape(shape),
            frame["status"].to_numpy(dtype=object).reshape(shape),
        )

    def for_samples(self, sample_ids: pd.Series, conditions: Sequence[Condition]) -> Floats:
        """Estimates [N, C] of those samples under those conditions; NaN of samples not here.

        Raises:
            UsageError: a condition is not here, or none of the samples is.
        """
        missing = [one for one in conditions if one not in self.conditions]
        if missing:
            names = ", ".join(dict.fromkeys(one.corruption for one in missing))
            raise UsageError(f"the reference {self.model} was not measured under {names}")
        places = pd.Index(self.labels["sample_id"]).get_indexer(sample_ids)
        if (places < 0).all():
            raise UsageError(
                f"the reference {self.model} was measured on none of these samples; measure both "
                "models with the same data, --limit and --seed"
            )
        columns = [self.conditions.index(one) for one in conditions]
        found = np.full((len(places), len(columns)), np.nan)
        found[places >= 0] = self.estimates[np.ix_(places[places >= 0], columns)]
        return found


_DRAWS_AT_A_TIME: Final = 100


class DamageSums:
    """Sums over faces, from which all values follow, under weights of people.

    For each condition [C]: errors damaged and clean of the same faces, and how many; shifts,
    their absolute values, and how many; errors of model and reference damaged and clean where both
    have estimates, and how many.
    """

    def __init__(
        self, estimates: StressEstimates, reference: StressEstimates | None, people: Codes
    ) -> None:
        years = estimates.estimates
        age = estimates.labels["age_years"].to_numpy(np.float64)[:, np.newaxis]
        shift, error = years - years[:, :1], np.abs(years - age)
        parts = [*_paired(error), *_counted(shift), *_counted(np.abs(shift))]
        if reference is not None:
            other = reference.for_samples(estimates.labels["sample_id"], estimates.conditions)
            of_both = np.where(np.isnan(other), np.nan, error)
            other = np.where(np.isnan(error), np.nan, np.abs(other - age))
            parts += [*_paired(of_both), *_paired(other)]
        self._conditions, self._terms = years.shape[1], len(parts)
        of_rows = np.stack(parts, axis=-1).reshape(len(years), -1)
        self._by_person = np.zeros((int(people.max()) + 1, of_rows.shape[1]))
        np.add.at(self._by_person, people, of_rows)

    def values(self) -> dict[str, Floats]:
        """Each mean [1, C] by name, everybody counting once."""
        return self._means(self._by_person.sum(axis=0, keepdims=True))

    def drawn(self, draws: int, seed: int) -> dict[str, Floats]:
        """Each mean [D, C] by name under resampling of people."""
        weights = drawn_weights(len(self._by_person), draws, seed, _DRAWS_AT_A_TIME)
        total = np.concatenate([part.astype(np.float64) @ self._by_person for part in weights])
        return self._means(total)

    def _means(self, total: Floats) -> dict[str, Floats]:
        sums = total.reshape(-1, self._conditions, self._terms)
        mean = [ratio(sums[..., at], sums[..., at + 1]) for at in range(0, self._terms, 2)]
        names = ("mae", "clean_mae", "shift", "absolute_shift")
        compared = ("own", "own_clean", "reference", "reference_clean")
        found = dict(zip((*names, *compared), mean, strict=False))
        return found | {"increase": found["mae"] - found["clean_mae"]}


def _paired(error: Floats) -> list[Floats]:
    """Errors [N, C] damaged and clean, each with its count, of faces that have both."""
    clean = np.broadcast_to(error[:, :1], error.shape)
    damaged = np.where(np.isnan(clean), np.nan, error)
    return [*_counted(damaged), *_counted(np.where(np.isnan(damaged), np.nan, clean))]


def _counted(values: Floats) -> list[Floats]:
    return [np.nan_to_num(values, nan=0.0), (~np.isnan(values)).astype(np.float64)]
