"""What a model says of labelled faces: a predictions table."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from agelens.data.store.card import CARD_NAME
from agelens.errors import UsageError
from agelens.progress import Progress
from agelens.tables import PredictionsTable
from agelens.workflows.chosen import Chosen
from agelens.workflows.labelled_faces import chips_below, estimator_of, labelled_faces


def predict(
    data: Any = None,
    *,
    model: Any,
    root: Any = None,
    chosen: Chosen | None = None,
    own_intervals: bool = False,
    gender: bool = False,
    mirror: bool = False,
    aligned: bool = False,
    detector: str = "retinaface",
    workers: int | None = None,
    progress: Progress | None = None,
) -> PredictionsTable:
    """Estimate labelled faces.

    >>> predict(model="runs/first")  # doctest: +SKIP

    Args:
        data: a chip store, or a table of labelled photos; of a run by default its own test part.
            With `aligned` also a folder of chips, which have no labels then.
        model: a name, a card, a folder with card and weights, or a run.
        root: where the table's photos are.
        chosen: which of the faces.
        own_intervals: leave out the calibration in the card.
        gender: also estimate gender, of photos, or of chips where the model itself tells it; and
            ethnicity where the model tells it.
        mirror: average with the mirrored face.
        aligned: the pictures are chips of one face each, taken whole.
        detector: that finds the faces in photos.
        workers: threads; all available cores by default.
        progress: called with faces done and faces in all.

    Raises:
        UsageError: see `labelled_faces`; or gender of chips by a model that tells none, or a root
            of a folder of chips.
    """
    if aligned and _is_folder_of_pictures(data):
        if root is not None:
            raise UsageError("--root is for a table: the folder says where its chips are")
        data, root = chips_below(Path(data)), data
    faces = labelled_faces(data, chosen or Chosen(), model=model, root=root)
    estimator = estimator_of(
        model,
        detector=detector,
        gender=gender,
        mirror=mirror,
        aligned=aligned,
        calibrated=not own_intervals,
        workers=workers,
    )
    if faces.store is not None and aligned:
        raise UsageError(
            "a store's chips are aligned already: --aligned is for pictures of a table or a folder"
        )
    if faces.store is not None and gender and not estimator.card.told:
        raise UsageError(
            "--gender needs photos: a store has chips for the age network only, and "
            f"{estimator.card.name} tells no gender"
        )
    return faces.predict(estimator, progress)


def _is_folder_of_pictures(data: Any) -> bool:
    named = isinstance(data, str | Path) and Path(data).is_dir()
    return named and not (Path(data) / CARD_NAME).exists()
