"""Estimates of labelled photos, damaged: through the whole pipeline, detection and all."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace

import numpy as np

from agelens.data.predictions.stress_seed import stress_seed
from agelens.data.store.choice import choose_face
from agelens.data.store.outcomes import (
    LabelledPhoto,
    PictureSource,
    labelled_photos,
    picture_source,
)
from agelens.errors import PhotoError
from agelens.evaluation.sensitivity.conditions import CLEAN, Condition
from agelens.evaluation.sensitivity.corruptions import MARGIN, changed_margin, corrupt
from agelens.evaluation.sensitivity.estimates import StressEstimates
from agelens.imaging.detectors import Detector, detector_class
from agelens.imaging.photos import read_photo
from agelens.inference.cards import Card
from agelens.inference.estimator import AgeEstimator
from agelens.inference.network import aligner_of
from agelens.inference.ordered import ordered_map
from agelens.records import RGB, Face
from agelens.tables import SampleTable


@dataclass(slots=True, eq=False)
class _RowChips:
    """A labelled face's chips by the place of their condition, and a status for each condition."""

    row: int
    statuses: list[str]
    chips: dict[int, RGB] = field(default_factory=dict)


def stress_photos(
    estimator: AgeEstimator,
    samples: SampleTable,
    root: PictureSource | str,
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
        root: see `agelens.data.store.outcomes.picture_source`.
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
                estimates[one.row, list(one.chips)] = [age.age_years for age in ages]
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
