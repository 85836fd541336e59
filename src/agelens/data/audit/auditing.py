"""The audit: every check over a table and its pictures, one page."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd

from agelens.data.audit.disagreement import disagreements, estimate_labelled
from agelens.data.audit.duplicates import find_duplicates, find_shared
from agelens.data.audit.label_checks import (
    Check,
    ages_that_run_backwards,
    labels_out_of_range,
    malformed_names,
    reader_issues,
    subjects_with_two_genders,
)
from agelens.data.audit.pictures import Pictures, Root, look_at_pictures
from agelens.data.audit.report import AuditReport, Finding, write_report
from agelens.data.audit.sheets import save_sheet
from agelens.data.explore.samples import age_text
from agelens.data.explore.side import dataset_names
from agelens.imaging.detectors import Detector, detector_class
from agelens.inference.estimator import AgeEstimator
from agelens.tables import SampleTable
from agelens.whole_folder import whole_folder

_WORST: Final = 500
_LABEL_CHECKS: Final[dict[str, tuple[str, str, Check]]] = {
    "reader-issues": ("Issues of the reader", "What reading the dataset found.", reader_issues),
    "malformed-names": (
        "Malformed names",
        "Paths that are no picture's name, or that some file system cannot hold or tell apart.",
        malformed_names,
    ),
    "out-of-range": ("Labels out of range", "Labels that cannot be.", labels_out_of_range),
    "two-genders": (
        "Subjects with two genders",
        "Labelled both female and male; the rows with the rarer word.",
        subjects_with_two_genders,
    ),
    "ages-backwards": (
        "Ages that run backwards",
        "The subject was older in a photo of an earlier year: one of the labels is wrong.",
        ages_that_run_backwards,
    ),
}


def audit(
    table: SampleTable,
    root: Root,
    output: str | Path,
    *,
    against: tuple[SampleTable, Root] | None = None,
    model: AgeEstimator | None = None,
    detector: str | Detector | None = "retinaface",
    mirrored: bool = False,
    workers: int | None = None,
) -> AuditReport:
    """Look for what is wrong with a table and its pictures; write a page about it.

    Found are the reader's issues, malformed names, labels out of range, subjects with two
    genders, ages that run backwards, pictures that are absent, unreadable or without a face,
    pictures that are the same or nearly so, and with a model the labels furthest from it. The
    folder holds pictures of people and appears whole or not at all.

    Args:
        table: what to audit.
        root: the dataset's root; roots by dataset; or a function of dataset and path.
        output: a folder, new or empty, outside any repository.
        against: another table and its root, whose pictures should not be in this one.
        model: judges the labels; it finds faces with its own detector.
        detector: finds faces where no model is given; None does not look for faces.
        mirrored: find mirrored copies as well, which takes about a fifth longer.
        workers: threads; all available cores by default.

    Raises:
        UsageError: a root without any of the pictures; a folder that holds something.
        OutputError: the folder cannot be written.
    """
    finder = None if model is not None or detector is None else _detector(detector)
    with whole_folder(Path(output), "report") as folder:
        pictures = look_at_pictures(
            table, root, detector=finder, mirrored=mirrored, workers=workers
        )
        findings = [
            Finding(kind, title, why, check(table))
            for kind, (title, why, check) in _LABEL_CHECKS.items()
        ]
        if model is not None:
            faces, years = estimate_labelled(model, table, pictures, root)
            pictures = replace(pictures, frame=pictures.frame.assign(faces=faces))
            findings.append(_disagreement(table, root, years, folder))
        findings.extend(_unusable(table, pictures))
        duplicates = find_duplicates(table, pictures)
        findings.append(_duplicates(table, root, duplicates.rows, folder))
        if against is not None:
            theirs = look_at_pictures(*against, workers=workers)
            findings.append(_shared(table, pictures, find_shared(pictures, theirs)))
        statuses = {str(k): int(v) for k, v in pictures.frame["status"].value_counts().items()}
        report = AuditReport(
            dataset_names(table), len(table), statuses, tuple(findings), duplicates.groups,
            Path(output),
        )  # fmt: skip
        write_report(report, folder)
    return report


def _detector(detector: str | Detector) -> Detector:
    return detector_class(detector)() if isinstance(detector, str) else detector


def _unusable(table: SampleTable, pictures: Pictures) -> Iterator[Finding]:
    status = pictures.frame["status"].to_numpy(dtype=object)[pictures.place]
    message = pictures.frame["message"].to_numpy(dtype=object)[pictures.place]
    ids = table.frame["sample_id"].to_numpy(dtype=object)
    for kind, title, bad in (
        ("absent", "Pictures that are absent", status == "missing"),
        ("unreadable", "Pictures that cannot be read", ~np.isin(status, ["ok", "missing"])),
    ):
        rows = pd.DataFrame({"sample_id": ids[bad], "detail": message[bad]})
        yield Finding(kind, title, "Rows whose picture cannot be used.", rows)
    faces = pd.to_numeric(pictures.frame["faces"]).to_numpy(dtype=np.float64)[pictures.place]
    rows = pd.DataFrame({"sample_id": ids[faces == 0], "detail": "no face found"})
    looked = "" if np.isfinite(faces).any() else " Nobody looked: no detector was given."
    yield Finding("faceless", "Pictures without a face", f"None was found.{looked}", rows)


def _duplicates(table: SampleTable, root: Root, rows: pd.DataFrame, folder: Path) -> Finding:
    captions = [
        [f"group {group}: {alike}", detail]
        for group, alike, detail in rows[["group", "alike", "detail"]].itertuples(index=False)
    ]
    return Finding(
        "duplicates",
        "Pictures that are the same or nearly so",
        "Of a group, no two belong into different parts of a split. Where labels differ, at most "
        "one is right. `alike` says whether bytes, pixels or only the looks are shared.",
        rows,
        save_sheet(table, root, rows["sample_id"], captions, folder / "duplicates.png"),
    )


def _shared(table: SampleTable, pictures: Pictures, found: pd.DataFrame) -> Finding:
    names = pictures.frame[["dataset", "path"]].iloc[pictures.place].reset_index(drop=True)
    rows = names.assign(sample_id=table.frame["sample_id"].astype(object))
    rows = rows.merge(found, on=["dataset", "path"])[["sample_id", "alike", "detail"]]
    why = "Errors measured on one table by a model trained on the other flatter."
    return Finding("shared", "Pictures that the other table has too", why, rows)


def _disagreement(table: SampleTable, root: Root, years: pd.Series, folder: Path) -> Finding:
    rows = disagreements(table, years)[:_WORST]
    labels = table.frame.set_index("sample_id").loc[rows["sample_id"]]
    rows = rows.assign(label=_ages(labels))
    captions = [
        [f"label {label}, {detail}"]
        for label, detail in zip(rows["label"], rows["detail"], strict=True)
    ]
    return Finding(
        "disagreement",
        "Labels furthest from the model",
        f"The {len(rows)} rows where the model is furthest from the label, by sign: positive where "
        "it says older. The model may be as wrong as the label: look.",
        rows,
        save_sheet(table, root, rows["sample_id"], captions, folder / "disagreement.png"),
    )


def _ages(labels: pd.DataFrame) -> list[str]:
    return [age_text(row) for _, row in labels.iterrows()]
