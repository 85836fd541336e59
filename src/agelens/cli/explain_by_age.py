"""What `agelens explain --by-age` does: labelled faces in, the mean map of each age band out."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from agelens.atomic import atomic_folder
from agelens.cli.chosen_rows import parts_as_asked, rows_as_asked
from agelens.cli.explain_faces import StoreFaces, TableFaces
from agelens.cli.explain_methods import explainer_as_asked
from agelens.cli.registries import show
from agelens.data.predictions import check_other_chips
from agelens.data.store import ChipStore
from agelens.errors import TableError
from agelens.evaluation.bootstrap import person_codes
from agelens.evaluation.groups import age_bands
from agelens.evaluation.heat_maps.by_age import BandMap, LabelledChip, mean_maps
from agelens.evaluation.heat_maps.sanity_check import NOT_TOLD
from agelens.evaluation.reports.heat_maps import by_age_document, write_by_age
from agelens.evaluation.table_checks import tally
from agelens.imaging.align import template_named
from agelens.inference.cards import ChipInput
from agelens.inference.estimator import AgeEstimator
from agelens.records import Floats
from agelens.tables import read_table


def run(options: argparse.Namespace) -> int:
    """Explain some faces of each age band, and print or write their mean maps."""
    estimator = AgeEstimator(options.model, options.detector, workers=options.workers)
    faces = _faces(options, estimator)
    rows = rows_as_asked(parts_as_asked(faces.samples, options), options)
    frame = faces.samples.frame
    rows = rows[faces.usable[rows]]
    if not rows.size:
        raise TableError("none of the rows has both an age and a face, so there is no age band")
    drawn = drawn_by_band(age_bands(frame).iloc[rows], rows, options.per_band, options.seed)
    explain, settings = explainer_as_asked(options, estimator)
    settings |= {
        "data": ", ".join(sorted(map(str, frame["dataset"].iloc[rows].unique()))),
        "part": options.part,
        "ages": ", ".join(tally(frame["age_kind"].iloc[rows])),
        "faces_drawn": len(drawn),
        "seed": options.seed,
    }
    bands = mean_maps(explain, _chips(faces, drawn, _progress(len(drawn))))
    if not bands:
        raise TableError(f"none of {len(drawn)} photos has the labelled face")
    settings["faces_used"] = sum(band.samples for band in bands)
    points = landmark_points(estimator.card.input)
    if options.output is not None:
        with atomic_folder(options.output, "heat maps") as folder:
            write_by_age(bands, settings, points, folder)
    if options.json:
        document = by_age_document(bands, settings, points)
        print(json.dumps(document, ensure_ascii=False, allow_nan=False))
        return 0
    _tell(bands, points)
    if options.output is not None:
        print(f"wrote {options.output}")
    return 0


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


def _faces(options: argparse.Namespace, estimator: AgeEstimator) -> StoreFaces | TableFaces:
    if options.store is not None:
        store = ChipStore.open(options.store)
        check_other_chips(store, estimator.card)
        return StoreFaces(store)
    estimator.check_takes_photos()
    return TableFaces(read_table(options.table, extra=None), options.root, estimator)


def _chips(
    faces: StoreFaces | TableFaces,
    drawn: list[tuple[str, int]],
    on_progress: Callable[[int], None],
) -> Iterator[LabelledChip]:
    frame = faces.samples.frame
    ages, people = frame["age_years"], person_codes(frame)
    for done, (band, row) in enumerate(drawn, start=1):
        chip = faces.chip(row)
        if chip is not None:
            yield LabelledChip(band, float(ages.iloc[row]), chip, int(people[row]))
        on_progress(done)


def _progress(total: int) -> Callable[[int], None]:
    def say(done: int) -> None:
        if sys.stderr.isatty():
            end = "\n" if done == total else ""
            print(f"\r{done:,} of {total:,}", end=end, file=sys.stderr, flush=True)

    return say


def _tell(bands: list[BandMap], points: Floats | None) -> None:
    rows: list[dict[str, Any]] = []
    for band in bands:
        stated = band.to_json(points)
        row = {
            "age band": f"{band.band} (few)" if band.few else band.band,
            "faces": stated["samples"],
            "people": stated["people"],
            "mean age": f"{band.age_years:.1f}",
            "mean estimate": f"{band.estimate_years:.1f}",
        }
        for name, found in stated.get("at", {}).items():
            row[name] = "" if found["value"] is None else f"{found['value']:+.2f}"
        rows.append(row)
    show(rows, as_json=False)
    print(NOT_TOLD[0])
