"""The predictions table: one row an estimate, with the labels it is measured by.

Its columns are those of `agelens.tables.prediction_columns`. A distribution over ages is an
array [N, K] beside the frame; on disk it is columns, see `agelens.tables.probabilities`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from agelens.ages import AgeScale
from agelens.errors import TableError
from agelens.tables.dtypes import as_plain
from agelens.tables.prediction_columns import (
    LABELS,
    PREDICTION_COLUMNS,
    check_predictions,
    conformed,
)
from agelens.tables.probabilities import (
    Distribution,
    check_distribution,
    distribution_columns,
    take_distribution,
)
from agelens.tables.refusal import refuse
from agelens.tables.samples import SampleTable


@dataclass(frozen=True, slots=True, eq=False)
class PredictionsTable:
    """Estimates beside labels, checked, in a fixed order of columns and fixed dtypes.

    `frame` must have every column of `PREDICTION_COLUMNS`, in any order; what else it has is
    kept. `distribution` float32 [N, K] lies over `scale`; a row without one is NaN
    throughout.

    A missing `status` becomes ``ok`` where there is an estimate and ``no_estimate`` where
    there is none.

    Raises:
        TableError: a column is missing; a value does not fit its column (rows are named); an
            estimate is infinite, or missing beside the status ``ok``; an interval has one end,
            or ends before it begins; a `sample_id` repeats with the same model and seed; an
            age has no `age_kind`; a distribution without scale or of another shape.
    """

    frame: pd.DataFrame
    distribution: Distribution | None = None
    scale: AgeScale | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "frame", conformed(self.frame))
        check_predictions(self.frame)
        if self.distribution is None:
            return
        if self.scale is None:
            raise TableError("a distribution needs the scale of its ages")
        small = np.asarray(self.distribution, dtype=np.float32)
        object.__setattr__(self, "distribution", small)
        check_distribution(small, self.scale, len(self.frame))

    def __len__(self) -> int:
        return len(self.frame)

    @classmethod
    def from_columns(
        cls, columns: Mapping[str, object] | pd.DataFrame, scale: AgeScale | None = None
    ) -> PredictionsTable:
        """A table of whole columns, `p_000` and so on among them; those not given are missing.

        `sample_id` and `estimate_years` must be given. `scale` is that of the distribution
        where no column `age_scale` states it.
        """
        frame, distribution, scale = take_distribution(pd.DataFrame(columns), scale)
        required = ("sample_id", "estimate_years")
        absent = [n for n in PREDICTION_COLUMNS if n not in frame and n not in required]
        return cls(frame.assign(**dict.fromkeys(absent)), distribution, scale)

    @classmethod
    def from_samples(
        cls,
        samples: SampleTable,
        estimates: Mapping[str, Any],
        *,
        distribution: Distribution | None = None,
        scale: AgeScale | None = None,
    ) -> PredictionsTable:
        """Estimates of `samples`, row by row in their order.

        Args:
            samples: N of them; their labels are taken over.
            estimates: columns by name, `estimate_years` among them: N values or one for all.
            distribution: [N, K] over `scale`.
            scale: of the distribution.
        """
        labels = samples.frame[list(LABELS)].assign(**estimates)
        table = cls.from_columns(labels)
        return cls(table.frame, distribution, scale)

    @classmethod
    def concat(cls, tables: Sequence[PredictionsTable]) -> PredictionsTable:
        """One table of several, rows in the order given.

        A column that only some have is missing in the others' rows, and so is a distribution.

        Raises:
            TableError: two have distributions over different scales; see the class.
        """
        names = dict.fromkeys(name for table in tables for name in table.frame)
        frames = [table.frame.reindex(columns=list(names)) for table in tables]
        columns = {
            name: pd.concat([as_plain(frame[name]) for frame in frames], ignore_index=True)
            for name in names
        }
        frame = pd.DataFrame(columns)
        given = [table.scale for table in tables if table.distribution is not None]
        scales = {scale for scale in given if scale is not None}
        if len(scales) > 1:
            raise TableError(
                f"tables over different ages cannot be joined: {' and '.join(map(str, scales))}; "
                "join them without their distributions"
            )
        if not scales:
            return cls(frame)
        (scale,) = scales
        return cls(frame, np.concatenate([_rows_over(table, scale) for table in tables]), scale)

    def select(self, rows: ArrayLike) -> PredictionsTable:
        """The rows that `rows` [N] marks, or numbers."""
        marked = np.asarray(rows)
        chosen = np.arange(len(self))[marked if marked.dtype == bool else marked.astype(np.int64)]
        part = None if self.distribution is None else self.distribution[chosen]
        return PredictionsTable(self.frame.iloc[chosen], part, self.scale)

    def with_labels(self, samples: SampleTable) -> PredictionsTable:
        """The same estimates with the labels of `samples`, found by `sample_id`.

        Raises:
            TableError: an estimate's sample is not among them; rows are named.
        """
        place = pd.Index(samples.frame["sample_id"]).get_indexer(self.frame["sample_id"])
        refuse(self.frame["sample_id"], place < 0, "is not among the samples that have the labels")
        labels = {name: samples.frame[name].take(place).array for name in LABELS}
        return PredictionsTable(self.frame.assign(**labels), self.distribution, self.scale)

    def to_frame(self) -> pd.DataFrame:
        """One frame with everything, the distribution as columns, as it stands on disk."""
        if self.distribution is None or self.scale is None:
            return self.frame
        return pd.concat([self.frame, distribution_columns(self.distribution, self.scale)], axis=1)


def _rows_over(table: PredictionsTable, scale: AgeScale) -> Distribution:
    if table.distribution is not None:
        return table.distribution
    return np.full((len(table), len(scale)), np.nan, dtype=np.float32)
