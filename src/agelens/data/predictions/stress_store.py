"""Estimates of a store's chips, damaged."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from agelens.data.predictions.from_store import refuse_other_chips
from agelens.data.predictions.stress_seed import stress_seed
from agelens.data.store import ChipStore
from agelens.evaluation.sensitivity.conditions import CLEAN, Condition
from agelens.evaluation.sensitivity.corruptions import corrupt
from agelens.evaluation.sensitivity.estimates import StressEstimates
from agelens.imaging.align import apply, similarity
from agelens.imaging.templates import template_named
from agelens.inference.estimator import AgeEstimator
from agelens.records import RGB, Face, Floats
from agelens.tables import BOX, LANDMARKS

_ROWS_AT_A_TIME: Final = 16


def stress_store(
    estimator: AgeEstimator,
    store: ChipStore,
    conditions: Sequence[Condition],
    *,
    rows: NDArray[np.int64] | None = None,
    seed: int = 0,
    on_progress: Callable[[int, int], None] | None = None,
) -> StressEstimates:
    """What the model says of each chip under each condition.

    The damage is done to the chip, where a photo's would be averaged by cutting: figures of
    chips and of photos are not comparable. Lengths are measured on the face's box in the chip.

    Args:
        estimator: of a model for such chips.
        store: with labels; a row without a chip keeps its status under all conditions.
        conditions: clean first, then of `ON_CHIPS`.
        rows: only these, in this order.
        seed: of the damages.
        on_progress: called with rows done and rows in all.

    Raises:
        UsageError: the store's chips are not what the model's card asks for.
    """
    refuse_other_chips(store, estimator.card)
    chosen = np.arange(len(store)) if rows is None else np.asarray(rows)
    labels = store.table.frame.iloc[chosen].reset_index(drop=True)
    faces = _faces(store, chosen)
    words = store.outcomes["status"].iloc[chosen].astype(str).to_numpy(dtype=object)
    statuses = np.repeat(words[:, np.newaxis], len(conditions), axis=1)
    estimates = np.full(statuses.shape, np.nan)
    there = np.flatnonzero(store.has_chip[chosen])
    for start in range(0, len(there), _ROWS_AT_A_TIME):
        part = there[start : start + _ROWS_AT_A_TIME]
        chips = [
            _damaged(
                store[int(chosen[row])],
                faces[row],
                condition,
                stress_seed(seed, labels["sample_id"].iloc[row]),
            )
            for row in part
            for condition in conditions
        ]
        ages = [one.age_years for one in estimator.estimate_chips(chips)]
        estimates[part] = np.reshape(ages, (len(part), len(conditions)))
        if on_progress:
            on_progress(start + len(part), len(there))
    return StressEstimates(estimator.card.name, labels, tuple(conditions), estimates, statuses)


def _damaged(chip: RGB, face: Face, condition: Condition, seed: int) -> RGB:
    if condition == CLEAN:
        return chip
    return corrupt(chip, face, condition.corruption, condition.severity, seed=seed)


def _faces(store: ChipStore, rows: NDArray[np.int64]) -> list[Face]:
    """Each row's face in its chip: the detector's box where it lies there, else all of the chip."""
    frame = store.table.frame.iloc[rows]
    boxes = frame[list(BOX)].to_numpy(np.float64)
    landmarks = frame[list(LANDMARKS)].to_numpy(np.float64).reshape(-1, 5, 2)
    settings = store.card.settings
    whole = np.array([0.0, 0.0, store.size, store.size])
    if settings["alignment"] != "similarity":
        return [Face(whole, points, 1.0) for points in landmarks]
    target = template_named(settings["template"]).points_in(store.size, settings["margin"])
    return [
        Face(_in_chip(box, points, target, store.size), target, 1.0)
        for box, points in zip(boxes, landmarks, strict=True)
    ]


def _in_chip(box_xyxy: Floats, landmarks: Floats, target: Floats, size: int) -> Floats:
    """The part of the photo's box [4] that lies in the chip."""
    whole = np.array([0.0, 0.0, size, size])
    if np.isnan(landmarks).any() or np.isnan(box_xyxy).any():
        return whole
    left, top, right, bottom = box_xyxy
    corners = np.array([[left, top], [right, top], [left, bottom], [right, bottom]])
    carried = np.clip(apply(similarity(landmarks, target), corners), 0, size)
    box = np.concatenate([carried.min(axis=0), carried.max(axis=0)])
    return box if (box[2:] > box[:2]).all() else whole
