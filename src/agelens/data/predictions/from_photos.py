"""Predictions of labelled photos through the whole pipeline, as a user's photo goes."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator

from agelens.data.predictions.estimates import table_of
from agelens.data.store.choice import choose_face
from agelens.data.store.outcomes import PictureSource, labelled_photos, picture_source
from agelens.inference.estimator import AgeEstimator
from agelens.records import AgeEstimate, Floats, Photo, PhotoResult
from agelens.tables import PredictionsTable, SampleTable


def predict_photos(
    estimator: AgeEstimator,
    samples: SampleTable,
    root: PictureSource | str,
    *,
    on_progress: Callable[[int, int], None] | None = None,
) -> PredictionsTable:
    """What the model says of each sample's photo: read, searched for faces, aligned, estimated.

    Of several faces the one that `agelens.data.store.choice` takes for the labelled one. A photo
    that cannot be used is a row with its status.

    Args:
        estimator: finds faces with its own detector.
        samples: with labels, and the labelled box where it is known.
        root: see `agelens.data.store.outcomes.picture_source`.
        on_progress: called with rows done and rows in all.

    Raises:
        UsageError: a root that holds none of the photos, or a model that takes no photos.
    """
    source = picture_source(root, samples)
    photos = list(labelled_photos(samples.frame, shard=0))
    faces: list[AgeEstimate | None] = [None] * len(samples)
    statuses = [""] * len(samples)
    milliseconds: list[float | None] = [None] * len(samples)
    sizes: deque[tuple[int, int]] = deque()

    def remember(photo: Photo, _: PhotoResult) -> None:
        sizes.append((photo.rgb.shape[0], photo.rgb.shape[1]))

    results = estimator.stream((source(p.dataset, p.path) for p in photos), on_photo=remember)
    done = 0
    for photo, result in zip(photos, results, strict=True):
        # Only what could be read was remembered, in the order of the results.
        size = sizes.popleft() if result.status in ("ok", "no_face") else (0, 0)
        for row, face in zip(photo.rows, _chosen(result, size, photo.boxes), strict=True):
            faces[row], milliseconds[row] = face, result.milliseconds
            statuses[row] = "no_face" if face is None and result.faces else result.status
        done += len(photo.rows)
        if on_progress:
            on_progress(done, len(samples))
    return table_of(estimator, samples, faces, statuses, milliseconds)


def _chosen(
    result: PhotoResult, size_hw: tuple[int, int], boxes: tuple[Floats | None, ...]
) -> Iterator[AgeEstimate | None]:
    """The estimate of the labelled face of each box."""
    found = [estimate.face for estimate in result.faces if estimate.face is not None]
    for box in boxes:
        face = choose_face(found, size_hw, box)
        yield next((one for one in result.faces if face is not None and one.face is face), None)
