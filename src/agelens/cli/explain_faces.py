"""The labelled faces that `agelens explain --by-age` draws from: of a store, or of photos."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from agelens.data.store import ChipStore, choose_face
from agelens.data.store.cutting import labelled_photos, picture_source
from agelens.errors import PhotoError
from agelens.imaging.photos import read_photo
from agelens.inference.estimator import AgeEstimator
from agelens.records import RGB
from agelens.tables import SampleTable


class StoreFaces:
    """Chips of a store by row."""

    def __init__(self, store: ChipStore) -> None:
        self.samples = store.table
        self._store = store

    @cached_property
    def usable(self) -> NDArray[np.bool_]:
        """Whether each row [N] has an age and a chip."""
        return self._store.has_chip & self.samples.frame["age_years"].notna().to_numpy()

    def chip(self, row: int) -> RGB | None:
        """The chip of one usable row."""
        return self._store[row]


class TableFaces:
    """Faces of labelled photos by row, found and cut as `estimator` does it.

    Raises:
        UsageError: `root` holds none of the photos.
    """

    def __init__(self, samples: SampleTable, root: Path, estimator: AgeEstimator) -> None:
        self.samples = samples
        self._source = picture_source(root, samples)
        self._estimator = estimator

    @cached_property
    def usable(self) -> NDArray[np.bool_]:
        """Whether each row [N] has an age; whether it has a face, its photo must tell."""
        return self.samples.frame["age_years"].notna().to_numpy()

    def chip(self, row: int) -> RGB | None:
        """The chip of the labelled face; None where the photo is unusable or has none."""
        (photo,) = labelled_photos(self.samples.frame.iloc[[row]], shard=0)
        try:
            rgb = read_photo(self._source(photo.dataset, photo.path)).rgb
        except PhotoError:
            return None  # counted: fewer faces are used than were drawn
        found = self._estimator.detector.detect(rgb)
        face = choose_face(found, (rgb.shape[0], rgb.shape[1]), photo.boxes[0])
        return None if face is None else self._estimator.chip_of(rgb, face).rgb
