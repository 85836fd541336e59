"""Mean heat maps by age: some labelled faces of each age band, explained and averaged."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from agelens.data.store import choose_face
from agelens.data.store.cutting import labelled_photos, picture_source
from agelens.errors import PhotoError, TableError
from agelens.evaluation.bootstrap.groupings import person_codes
from agelens.evaluation.groups import age_bands
from agelens.evaluation.heat_maps.by_age import ByAgeReport, LabelledChip, mean_maps
from agelens.evaluation.table_checks import tally
from agelens.imaging.align import template_named
from agelens.imaging.photos import read_photo
from agelens.inference.cards import ChipInput
from agelens.inference.estimator import AgeEstimator
from agelens.progress import Progress
from agelens.records import RGB, Floats
from agelens.workflows.chosen import Chosen
from agelens.workflows.explain import Method
from agelens.workflows.labelled_faces import LabelledFaces, estimator_of, labelled_faces


def explain_by_age(
    data: Any,
    model: Any,
    method: Method,
    *,
    root: Any,
    chosen: Chosen | None,
    per_band: int,
    detector: str,
    workers: int | None,
    seed: int,
    progress: Progress | None,
) -> ByAgeReport:
    """Mean maps of labelled faces; see `agelens.workflows.explain.explain`."""
    faces = labelled_faces(data, chosen or Chosen(), model=model, root=root)
    estimator = estimator_of(model, detector=detector, workers=workers)
    if faces.store is None:
        estimator.check_takes_photos()
    frame = faces.samples.frame
    usable = frame["age_years"].notna().to_numpy()
    if faces.store is not None:
        usable = usable & faces.store.has_chip[faces.rows]
    rows = np.flatnonzero(usable)
    if not rows.size:
        raise TableError("none of the rows has both an age and a face, so there is no age band")
    drawn = drawn_by_band(age_bands(frame).iloc[rows], rows, per_band, seed)
    explainer, settings = method.explainer(estimator, model, averaged=True)
    settings |= {
        "data": ", ".join(sorted(map(str, frame["dataset"].iloc[rows].unique()))),
        "part": ", ".join(tally(frame["split"].iloc[rows])) or None,
        "ages": ", ".join(tally(frame["age_kind"].iloc[rows])),
        "faces_drawn": len(drawn),
        "seed": seed,
    }
    bands = mean_maps(explainer, _chips(faces, estimator, drawn, progress))
    if not bands:
        raise TableError(f"none of {len(drawn)} photos has the labelled face")
    settings["faces_used"] = sum(band.samples for band in bands)
    return ByAgeReport(settings, bands, landmark_points(estimator.card.input))


def drawn_by_band(
    bands: pd.Series, rows: NDArray[np.int64], most: int, seed: int
) -> list[tuple[str, int]]:
    """At most `most` of `rows` [N] of each of `bands` [N], with their band, youngest first."""
    random = np.random.default_rng(seed)
    drawn: list[tuple[str, int]] = []
    for band in bands.cat.categories:
        members = rows[(bands == band).to_numpy()]
        chosen = random.permutation(members)[:most]
        drawn += [(str(band), int(row)) for row in np.sort(chosen)]
    return drawn


def landmark_points(wanted: ChipInput) -> Floats | None:
    """Where the five landmarks [5, 2] lie in every chip; None where they lie elsewhere in each."""
    if wanted.alignment != "similarity":
        return None
    return template_named(wanted.template).points_in(wanted.size, wanted.margin)


def _chips(
    faces: LabelledFaces,
    estimator: AgeEstimator,
    drawn: list[tuple[str, int]],
    progress: Progress | None,
) -> Iterator[LabelledChip]:
    frame = faces.samples.frame
    ages, people = frame["age_years"], person_codes(frame)
    photos = _PhotoChips(faces, estimator) if faces.store is None else None
    for done, (band, row) in enumerate(drawn, start=1):
        chip = photos(row) if photos else faces.store[int(faces.rows[row])]  # type: ignore[index]
        if chip is not None:
            yield LabelledChip(band, float(ages.iloc[row]), chip, int(people[row]))
        if progress is not None:
            progress(done, len(drawn))


class _PhotoChips:
    """Chips of labelled photos by row, found and cut as the estimator does it.

    Raises:
        UsageError: the root holds none of the photos.
    """

    def __init__(self, faces: LabelledFaces, estimator: AgeEstimator) -> None:
        self._frame = faces.samples.frame
        self._source = picture_source(faces.root, faces.samples)
        self._estimator = estimator

    def __call__(self, row: int) -> RGB | None:
        """The chip of the labelled face; None where the photo is unusable or has none."""
        (photo,) = labelled_photos(self._frame.iloc[[row]], shard=0)
        try:
            rgb = read_photo(self._source(photo.dataset, photo.path)).rgb
        except PhotoError:
            return None  # counted: fewer faces are used than were drawn
        found = self._estimator.detector.detect(rgb)
        face = choose_face(found, (rgb.shape[0], rgb.shape[1]), photo.boxes[0])
        return None if face is None else self._estimator.chip_of(rgb, face).rgb
