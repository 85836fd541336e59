"""Estimates of labelled photos, damaged: through the whole pipeline, detection and all."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Final
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from agelens.data.predictions.predict import check_other_chips
from agelens.data.store import ChipStore
from agelens.data.store.cutting import (
    LabelledPhoto,
    PictureSource,
    Root,
    choose_face,
    labelled_photos,
    picture_source,
)
from agelens.errors import PhotoError
from agelens.evaluation.sensitivity.conditions import (
    CLEAN,
    MARGIN,
    Condition,
    changed_margin,
    corrupt,
)
from agelens.evaluation.sensitivity.estimates import StressEstimates
from agelens.imaging.align import apply, similarity, template_named
from agelens.imaging.detectors import Detector, detector_class
from agelens.imaging.photos import IN_FLIGHT, read_photo
from agelens.inference.cards import Card
from agelens.inference.estimator import AgeEstimator
from agelens.inference.network import aligner_of
from agelens.inference.ordered import ordered_map
from agelens.records import RGB, Face, Floats
from agelens.tables import BOX, LANDMARKS, SampleTable


def stress_seed(seed: int, sample_id: str) -> int:
    """The seed of the damages to a sample: the same in every run, another for every sample."""
    return crc32(f"{seed}/{sample_id}".encode())


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
    check_other_chips(store, estimator.card)
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
        ages = [one.estimate_years for one in estimator.estimate_chips(chips)]
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


@dataclass(slots=True, eq=False)
class _RowChips:
    """A labelled face's chips by the place of their condition, and a status for each condition."""

    row: int
    statuses: list[str]
    chips: dict[int, RGB] = field(default_factory=dict)


def stress_photos(
    estimator: AgeEstimator,
    samples: SampleTable,
    root: Root,
    conditions: Sequence[Condition],
    *,
    seed: int = 0,
    on_progress: Callable[[int, int], None] | None = None,
) -> StressEstimates:
    """What the model says of each labelled face under each condition.

    Photos are damaged whole and searched anew; the face that is estimated is the one that lies
    over the clean photo's. One that is not found any more is a failure with the status
    ``no_face``. A changed margin and another detector leave the photo as it is.

    Args:
        estimator: finds faces with its own detector.
        samples: with labels, and the labelled box where it is known.
        root: see `agelens.data.store.cutting.picture_source`.
        conditions: clean first.
        seed: of the damages.
        on_progress: called with photos done and photos in all.

    Raises:
        UsageError: a root that holds none of the photos, or a model that takes no photos.
        UnknownNameError: a detector that does not exist.
    """
    estimator.check_takes_photos()
    names = dict.fromkeys(one.detector for one in conditions if one.detector)
    worker = _Worker(
        estimator.card,
        estimator.detector,
        {name: detector_class(name)() for name in names},
        tuple(conditions),
        picture_source(root, samples),
        samples.frame["sample_id"].tolist(),
        seed,
        estimator.max_pixels,
    )
    photos = list(labelled_photos(samples.frame, shard=0))
    shape = (len(samples), len(conditions))
    estimates, statuses = np.full(shape, np.nan), np.full(shape, "", dtype=object)
    with ThreadPoolExecutor(estimator.workers, thread_name_prefix="agelens") as pool:
        ready = ordered_map(pool, worker, photos, window=2 * estimator.workers)
        for done, rows in enumerate(ready, 1):
            for one in rows:
                ages = estimator.estimate_chips(list(one.chips.values())) if one.chips else []
                statuses[one.row] = one.statuses
                estimates[one.row, list(one.chips)] = [age.estimate_years for age in ages]
            if on_progress:
                on_progress(done, len(photos))
    labels = samples.frame.reset_index(drop=True)
    return StressEstimates(estimator.card.name, labels, tuple(conditions), estimates, statuses)


@dataclass(frozen=True, slots=True, eq=False)
class _Worker:
    """From a labelled photo to the chips of its faces under all conditions."""

    card: Card
    detector: Detector
    others: Mapping[str, Detector]
    conditions: tuple[Condition, ...]
    pictures: PictureSource
    sample_ids: list[str]
    seed: int
    max_pixels: int

    @IN_FLIGHT.one_photo()
    def __call__(self, photo: LabelledPhoto) -> list[_RowChips]:
        try:
            source = self.pictures(photo.dataset, photo.path)
            rgb = read_photo(source, name=photo.path, max_pixels=self.max_pixels).rgb
        except PhotoError as error:
            failed = [str(error.status)] * len(self.conditions)
            return [_RowChips(row, failed) for row in photo.rows]
        found = self.detector.detect(rgb)
        return [
            self._row(rgb, row, choose_face(found, (rgb.shape[0], rgb.shape[1]), box))
            for row, box in zip(photo.rows, photo.boxes, strict=True)
        ]

    def _row(self, rgb: RGB, row: int, face: Face | None) -> _RowChips:
        found = _RowChips(row, ["no_face"] * len(self.conditions))
        if face is None:
            return found
        seed = stress_seed(self.seed, self.sample_ids[row])
        for place, condition in enumerate(self.conditions):
            chip = self._chip(rgb, face, condition, seed)
            if chip is not None:
                found.chips[place] = chip
                found.statuses[place] = "ok"
        return found

    def _chip(self, rgb: RGB, face: Face, condition: Condition, seed: int) -> RGB | None:
        """The face's chip under `condition`; None where the face is not found."""
        card, detector, seen = self.card, self.detector, face
        if condition.corruption == MARGIN:
            margin = changed_margin(card.input.margin, condition.severity, seed=seed)
            card = replace(card, input=replace(card.input, margin=margin))
        elif condition != CLEAN:
            if condition.detector:
                detector = self.others[condition.detector]
            else:
                rgb = corrupt(rgb, face, condition.corruption, condition.severity, seed=seed)
            again = choose_face(detector.detect(rgb), (rgb.shape[0], rgb.shape[1]), face.box_xyxy)
            if again is None:
                return None
            seen = again
        return aligner_of(card, detector).align(rgb, seen).rgb
