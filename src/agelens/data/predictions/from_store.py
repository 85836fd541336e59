"""Predictions of a prepared store: from its chips, without photos or detection."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from agelens.data.predictions.estimates import table_of
from agelens.data.store import ChipStore
from agelens.errors import UsageError
from agelens.imaging.quality import judge
from agelens.inference.cards import Card
from agelens.inference.estimator import AgeEstimator
from agelens.records import RGB, AgeEstimate, Face, Quality
from agelens.tables import BOX, LANDMARKS, PredictionsTable, SampleTable

_CHIPS_AT_A_TIME: Final = 512
_CUT_BY: Final = ("alignment", "template", "size", "margin")


def predict_store(
    estimator: AgeEstimator,
    store: ChipStore,
    *,
    rows: NDArray[np.int64] | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> PredictionsTable:
    """What the model says of each row of `store`.

    A row without a chip keeps its status, such as ``no_face``. Quality is judged by the chip and
    the landmarks that were found when it was cut.

    Args:
        estimator: of a model for such chips.
        store: with labels.
        rows: only these, in this order.
        on_progress: called with rows done and rows in all.

    Raises:
        UsageError: the store's chips are not what the model's card asks for.
    """
    refuse_other_chips(store, estimator.card)
    chosen = np.arange(len(store)) if rows is None else np.asarray(rows)
    frame = store.table.frame.iloc[chosen]
    samples = SampleTable(frame, store.table.extra)
    found = _Faces(store, estimator)
    faces: list[AgeEstimate | None] = []
    for start in range(0, len(chosen), _CHIPS_AT_A_TIME):
        faces += found.of_rows(chosen[start : start + _CHIPS_AT_A_TIME])
        if on_progress:
            on_progress(len(faces), len(chosen))
    statuses = store.outcomes["status"].iloc[chosen].astype(str).tolist()
    return table_of(estimator, samples, faces, statuses)


def refuse_other_chips(store: ChipStore, card: Card) -> None:
    """Raise unless the store's chips are cut as the card asks for.

    The network would answer all the same, and be wrong by years.

    Raises:
        UsageError: they are not; the message says in what they differ.
    """
    made = _cut(store.card.settings)
    wanted = {name: getattr(card.input, name) for name in _CUT_BY}
    other = [
        f"{name} {made[name]!r} instead of {wanted[name]!r}"
        for name in _CUT_BY
        if made[name] != wanted[name]
    ]
    if other:
        raise UsageError(
            f"the chips in {store.folder} are not those that {card.name} takes: they have "
            f"{', '.join(other)}. Prepare a store for it, or give --table and --root"
        )


def _cut(settings: Any) -> dict[str, Any]:
    """How a store's chips were cut, in the words of a card."""
    made = {name: settings[name] for name in _CUT_BY}
    # Only similarity has a template; the other ways are named in its place.
    made["template"] = made["template"] or made["alignment"]
    return made


class _Faces:
    """Estimates of a store's rows, each with its face and its quality."""

    def __init__(self, store: ChipStore, estimator: AgeEstimator) -> None:
        frame = store.table.frame
        self._store, self._estimator = store, estimator
        self._has_chip = store.has_chip
        self._boxes = frame[list(BOX)].to_numpy(np.float64)
        self._landmarks = frame[list(LANDMARKS)].to_numpy(np.float64).reshape(-1, 5, 2)
        self._scores = store.outcomes["detection_score"].to_numpy(np.float64, na_value=np.nan)

    def of_rows(self, rows: NDArray[np.int64]) -> list[AgeEstimate | None]:
        """The estimate of each row, None of one without a chip."""
        there = rows[self._has_chip[rows]]
        chips = [self._store[int(row)] for row in there]
        estimates = iter(self._estimator.estimate_chips(chips)) if chips else iter(())
        seen = {
            int(row): self._with_face(next(estimates), int(row), chip)
            for row, chip in zip(there, chips, strict=True)
        }
        return [seen.get(int(row)) for row in rows]

    def _with_face(self, estimate: AgeEstimate, row: int, chip: RGB) -> AgeEstimate:
        face = Face(self._boxes[row], self._landmarks[row], float(self._scores[row]))
        quality = judge(face, chip)
        if np.isnan(face.landmarks).any():  # of pictures that their owner had aligned
            nothing = float("nan")
            quality = Quality(nothing, quality.sharpness, quality.exposure, nothing, nothing)
        refer = self._estimator.card.limits.refer(quality)
        return replace(estimate, face=face, quality=quality, refer=refer)
