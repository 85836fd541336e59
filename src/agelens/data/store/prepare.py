"""Preparing a store: read, detect, align and encode each labelled photo, once."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from agelens.data.store.cutting import cutter_of
from agelens.data.store.encodings import ChipEncoding
from agelens.data.store.outcomes import PhotoWorker, PictureSource, picture_source
from agelens.data.store.preparation import OnProgress, Preparation, StoreReport
from agelens.data.store.settings import ROWS_PER_SHARD, StoreSettings, alignment_of
from agelens.imaging.detectors import DEFAULT_LONGEST_SIDE, Detector, detector_class
from agelens.imaging.photos import DEFAULT_MAX_PIXELS
from agelens.tables import SampleTable


def prepare(
    table: SampleTable,
    root: str | Path | Mapping[str, str | Path] | PictureSource,
    output: str | Path,
    *,
    detector: str | Detector = "retinaface",
    template: str | None = None,
    size: int | None = None,
    margin: float = 0.0,
    two_pass: bool = False,
    aligned: bool = False,
    encoding: str = "jpeg",
    quality: int | None = None,
    licences: Mapping[str, str] | None = None,
    longest_side: int = DEFAULT_LONGEST_SIDE,
    max_pixels: int = DEFAULT_MAX_PIXELS,
    rows_per_shard: int = ROWS_PER_SHARD,
    workers: int | None = None,
    on_progress: OnProgress | None = None,
) -> StoreReport:
    """Make the chip store `output` of the photos that `table` labels, in flat memory.

    A photo is read once even where several rows of a shard label it. Every row of the table
    is a row of the store, in its order, with a status; a bad photo is a row. A run that was
    killed goes on where it stopped, when called again alike, and ends in the same bytes; a
    store that is whole already is left as it is.

    Args:
        table: labelled faces; the rule for the face that a row means is in
            `agelens.data.store.choice`.
        root: the dataset's root; roots by dataset; or a function of dataset and path that
            gives a file's path or its bytes.
        output: a folder, new or empty or begun by such a run.
        detector: name of a detector, or a `Detector` of your own.
        template: the frame that the five landmarks go onto; ``dlib-64`` by default.
        size: side of a chip in pixels; the template's own by default, else 112.
        margin: more surroundings: 0.4 shows 1.4 times the template's frame, or the face's
            box with `two_pass`.
        two_pass: turn by the eye line, find the box again, cut that box
            (`agelens.imaging.rotate_crop`), in place of a template.
        aligned: the pictures are aligned chips already: resize only, without detection.
        encoding: ``jpeg``, ``webp``, or ``png``, which loses nothing.
        quality: of the first two, 1 to 100; 95 by default.
        licences: by dataset, for the store's card.
        longest_side: see `Detector`; for a detector given by name.
        max_pixels: larger photos become rows with status ``too_large``.
        rows_per_shard: rows a file; also what a killed run loses at most.
        workers: threads; all available cores by default.
        on_progress: called with the rows done so far and all rows, after each shard.

    Raises:
        UsageError: options that clash; a root without the pictures; an output that holds
            other things or was made otherwise.
        UnknownNameError: no such detector, template or encoding.
        OutputError: the store cannot be written, as on a full disk; what is there is kept.
    """
    alignment, template, size = alignment_of(
        template=template, size=size, margin=margin, two_pass=two_pass, aligned=aligned
    )
    if isinstance(detector, str):
        detector = detector_class(detector)(longest_side=longest_side)
    chip_encoding = ChipEncoding(encoding, quality)
    settings = StoreSettings(
        alignment=alignment,
        detector=None if aligned else detector.name,
        longest_side=None if aligned else detector.longest_side,
        template=template,
        size=size,
        margin=margin,
        encoding=chip_encoding.name,
        quality=chip_encoding.quality,
        max_pixels=max_pixels,
        rows_per_shard=rows_per_shard,
        licences=licences or {},
    )
    worker = PhotoWorker(
        picture_source(root, table), cutter_of(settings, detector), chip_encoding, max_pixels
    )
    threads = workers or len(os.sched_getaffinity(0))
    return Preparation(table, settings, worker, Path(output), threads, on_progress).run()
