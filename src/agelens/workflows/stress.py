"""Damage labelled faces, and measure how far a model's estimates move."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from agelens.data.predictions.stress import stress_photos, stress_store
from agelens.evaluation.reports.stress_page import ESTIMATES_NAME, StressReport
from agelens.evaluation.sensitivity.conditions import (
    NOT_ON_CHIPS,
    ON_CHIPS,
    STRESSES,
    Condition,
    check_off_chips,
    conditions,
)
from agelens.evaluation.sensitivity.estimates import LABELS, StressEstimates
from agelens.evaluation.sensitivity.stress import stress as measured_stress
from agelens.imaging.detectors import DETECTORS
from agelens.progress import Progress
from agelens.workflows.chosen import Chosen
from agelens.workflows.labelled_faces import LabelledFaces, estimator_of, labelled_faces


def stress(
    data: Any = None,
    *,
    model: Any,
    root: Any = None,
    chosen: Chosen | None = None,
    corruptions: Sequence[str] | None = None,
    reference: Any = None,
    detector: str = "retinaface",
    workers: int | None = None,
    mix_age_kinds: bool = False,
    draws: int = 1000,
    level: float = 0.95,
    seed: int = 0,
    progress: Progress | None = None,
) -> StressReport:
    """Blur, noise, JPEG, brightness and so on in five severities each, and other detectors.

    >>> stress(model="runs/first", corruptions=["blur"])  # doctest: +SKIP

    Args:
        data: a chip store, or a table of labelled photos; of a run by default its own test part.
        model: a name, a card, a folder with card and weights, or a run.
        root: where the table's photos are.
        chosen: which of the faces.
        corruptions: names of `agelens.evaluation.sensitivity.conditions.STRESSES`; None takes all,
            for a store those that can be done to chips.
        reference: a model to measure beside it, or the folder of its stress test on the same faces.
        detector: that finds the faces in photos.
        workers: threads; all available cores by default.
        mix_age_kinds: whether real, apparent and estimated ages may be measured together.
        draws: of the bootstrap by person; 0 leaves the intervals out.
        level: of the intervals.
        seed: of damages and draws.
        progress: called with faces done and faces in all.

    Raises:
        TableError: no face has an age.
        UnknownNameError: there is no such corruption.
        UsageError: a corruption that cannot be done to chips; see `labelled_faces`.
    """
    faces = labelled_faces(data, chosen or Chosen(), model=model, root=root)
    skipped: dict[str, str] = {}
    if faces.store is None:
        others = [name for name in DETECTORS if name != detector]
        wanted = conditions(corruptions or STRESSES, others)
    else:
        check_off_chips(corruptions or ON_CHIPS)
        wanted = conditions(corruptions or ON_CHIPS)
        skipped = {} if corruptions else dict(NOT_ON_CHIPS)

    def estimates(of: Any) -> StressEstimates:
        return _estimates(
            *(faces, of, wanted), detector=detector, workers=workers, seed=seed, progress=progress
        )

    own = estimates(model)
    other = None
    if reference is not None:
        before = Path(str(reference)) / ESTIMATES_NAME
        other = StressEstimates.read(before) if before.is_file() else estimates(reference)
    found = measured_stress(
        own,
        other,
        skipped=skipped,
        mix_age_kinds=mix_age_kinds,
        draws=draws,
        level=level,
        seed=seed,
    )
    return StressReport(found, own)


def _estimates(
    faces: LabelledFaces,
    model: Any,
    wanted: Sequence[Condition],
    *,
    detector: str,
    workers: int | None,
    seed: int,
    progress: Progress | None,
) -> StressEstimates:
    estimator = estimator_of(model, detector=detector, workers=workers)
    if faces.store is None:
        return stress_photos(
            estimator, faces.samples, faces.root, wanted, seed=seed, on_progress=progress
        )
    found = stress_store(
        estimator, faces.store, wanted, rows=faces.rows, seed=seed, on_progress=progress
    )
    labels = faces.samples.frame[list(LABELS)].reset_index(drop=True)
    return replace(found, labels=labels)
