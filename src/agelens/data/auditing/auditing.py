"""The audit: every check over a table and its pictures, one page."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Final

import numpy as np
import pandas as pd

from agelens.atomic import atomic_folder
from agelens.data.auditing.duplicates import find_duplicates, find_shared
from agelens.data.auditing.pictures import Pictures, look_at_pictures
from agelens.data.auditing.report import AuditReport, Finding, save_sheet, write_report
from agelens.data.exploration.compared_table import dataset_names
from agelens.data.exploration.samples import age_text
from agelens.data.store.cutting import Root, choose_face, picture_source
from agelens.imaging.detectors import Detector, detector_class
from agelens.imaging.photos import read_photo
from agelens.imaging.sources import PHOTO_SUFFIXES
from agelens.inference.estimator import AgeEstimator
from agelens.inference.results import PhotoResult
from agelens.progress import Progress
from agelens.records import AgeEstimate, Floats, Photo
from agelens.tables import BOX, SampleTable

OLDEST_YEARS: Final = 120
_FIRST_PORTRAIT: Final = 1839
_UNPORTABLE: Final = frozenset('<>:"|?*')

Check = Callable[[SampleTable], pd.DataFrame]


def reader_issues(table: SampleTable) -> pd.DataFrame:
    """What the dataset's reader wrote into `issue`."""
    frame = table.frame
    return _found(frame, frame["issue"].notna(), frame["issue"].astype(object))


def malformed_names(table: SampleTable) -> pd.DataFrame:
    """Paths that are no picture's name, or that some file system cannot hold or tell apart."""
    path = table.frame["path"]
    wrong = path.map(_name_fault)
    lower = path.str.lower()
    key = table.frame["dataset"].astype(str) + "/" + lower
    spellings = path.groupby(key).transform("nunique")
    wrong = wrong.mask((wrong == "") & (spellings > 1), "differs from another path by case only")
    return _found(table.frame, wrong != "", wrong)


def labels_out_of_range(table: SampleTable) -> pd.DataFrame:
    """Impossible ages, spreads, bounds, boxes and years, each told in `detail`."""
    frame = table.frame
    years, low, high = (frame[name] for name in ("age_years", "age_low", "age_high"))
    tests = {
        f"age outside 0 to {OLDEST_YEARS}": _outside(years) | _outside(low) | _outside(high),
        "negative age_std": frame["age_std"] < 0,
        "age_low above age_high": low > high,
        "age outside its own bounds": (years < low) | (years > high),
        "empty box": (frame["box_x2"] <= frame["box_x1"]) | (frame["box_y2"] <= frame["box_y1"]),
        f"photo before {_FIRST_PORTRAIT}": frame["photo_year"].fillna(9999) < _FIRST_PORTRAIT,
    }
    detail = pd.Series("", index=frame.index, dtype=object)
    for text, bad in tests.items():
        detail = detail.mask(bad, detail + text + "; ")
    return _found(frame, detail != "", detail.str.removesuffix("; "))


def subjects_with_two_genders(table: SampleTable) -> pd.DataFrame:
    """The rows of subjects labelled both female and male, those of the rarer word."""
    frame = table.frame
    known = frame[frame["subject"].notna() & frame["gender"].notna()]
    both = [known["dataset"].astype(str), known["subject"].astype(str)]
    female = (known["gender"] == "female").groupby(both).transform("sum")
    total = known["gender"].groupby(both).transform("size")
    is_female = known["gender"] == "female"
    rarer = is_female & (2 * female <= total) | ~is_female & (2 * female >= total)
    detail = both[1] + ": " + female.astype(str) + " female, " + (total - female).astype(str)
    return _found(known, rarer & (female > 0) & (female < total), detail + " male")


def ages_that_run_backwards(table: SampleTable) -> pd.DataFrame:
    """Rows whose subject was older in a photo of an earlier year; one of the labels is wrong."""
    needed = ["dataset", "subject", "photo_year", "age_years"]
    known = table.frame.dropna(subset=needed)
    by_year = known.groupby(needed[:3], observed=True)["age_years"].max().reset_index()
    by_year = by_year.sort_values("photo_year", kind="stable")
    people = by_year.groupby(needed[:2], observed=True)
    oldest = people["age_years"].cummax()
    earlier = oldest.groupby([by_year["dataset"], by_year["subject"]], observed=True).shift()
    by_year = by_year.assign(before=earlier)[[*needed[:3], "before"]]
    rows = known.merge(by_year, on=needed[:3], how="left", validate="many_to_one")
    detail = [
        f"{subject}: {age:g} in {year}, but {before:g} in an earlier year"
        for subject, age, year, before in rows[
            ["subject", "age_years", "photo_year", "before"]
        ].itertuples(index=False)
    ]
    return _found(rows, rows["age_years"] < rows["before"], pd.Series(detail, rows.index, object))


def _found(frame: pd.DataFrame, bad: pd.Series, detail: pd.Series) -> pd.DataFrame:
    rows = frame.loc[bad, ["sample_id"]].astype(object)
    return rows.assign(detail=detail[bad]).reset_index(drop=True)


def _outside(years: pd.Series) -> pd.Series:
    return (years < 0) | (years > OLDEST_YEARS)


def _name_fault(path: str) -> str:
    if PurePosixPath(path).suffix.lower() not in PHOTO_SUFFIXES:
        return "the name does not end as those of pictures do"
    if any(unicodedata.category(character) in ("Cc", "Cf") for character in path):
        return "holds an invisible character"
    if _UNPORTABLE.intersection(path):
        return "holds a character that Windows does not allow"
    parts = PurePosixPath(path).parts
    if any(part != part.strip() or part.endswith(".") for part in parts):
        return "a part begins or ends with a blank, or ends with a dot"
    return (
        "" if unicodedata.is_normalized("NFC", path) else "letters and accents are apart (not NFC)"
    )


_WORST: Final = 500
_FAR_YEARS: Final = 10
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
    output: str | Path,
    *,
    root: Root = None,
    against: tuple[SampleTable, Root] | None = None,
    model: AgeEstimator | None = None,
    detector: str | Detector | None = "retinaface",
    mirrored: bool = False,
    workers: int | None = None,
    on_progress: Progress | None = None,
) -> AuditReport:
    """Look for what is wrong with a table and its pictures; write a page about it.

    Found are the reader's issues, malformed names, labels out of range, subjects with two
    genders, ages that run backwards, pictures that are absent, unreadable or without a face,
    pictures that are the same or nearly so, and with a model the labels furthest from it. The
    folder holds pictures of people and appears whole or not at all.

    Args:
        table: what to audit.
        output: a folder, new or empty, outside any repository.
        root: where the pictures are, if the table does not know: a folder, one by dataset, or a
            function of dataset and path.
        against: another table and its root (or None), whose pictures should not be in this one.
        model: judges the labels; it finds faces with its own detector.
        detector: finds faces where no model is given; None does not look for faces.
        mirrored: find mirrored copies as well, which takes about a fifth longer.
        workers: threads; all available cores by default.
        on_progress: called with pictures done and pictures in all.

    Raises:
        UsageError: a root without any of the pictures; a folder that holds something.
        OutputError: the folder cannot be written.
    """
    finder = None if model is not None or detector is None else _detector(detector)
    with atomic_folder(Path(output), "report") as folder:
        pictures = look_at_pictures(
            table,
            root,
            detector=finder,
            mirrored=mirrored,
            workers=workers,
            on_progress=on_progress,
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
    every = disagreements(table, years)
    far = int((every["error_years"].abs() > _FAR_YEARS).sum())
    rows = every[:_WORST]
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
        f"the model is more than {_FAR_YEARS} years from {far:,} of {len(every):,} labels; the "
        f"{len(rows):,} furthest are listed",
    )


def _ages(labels: pd.DataFrame) -> list[str]:
    return [age_text(row) for _, row in labels.iterrows()]


@dataclass(frozen=True, slots=True)
class _Collector:
    """Keeps of each photo the face count and the ages of the labelled faces, no pixels."""

    boxes: dict[str, list[Floats | None]]
    faces: dict[str, int] = field(default_factory=dict)
    years: dict[str, list[float]] = field(default_factory=dict)

    def __call__(self, photo: Photo, result: PhotoResult) -> None:
        self.faces[photo.source] = len(result.faces)
        self.years[photo.source] = [
            _age_of(result.faces, photo, box) for box in self.boxes[photo.source]
        ]


def estimate_labelled(
    model: AgeEstimator, table: SampleTable, pictures: Pictures, root: Root
) -> tuple[pd.Series, pd.Series]:
    """What `model` says: faces found in each picture [P], and years for each row [N].

    Of several faces the one that `agelens.data.store.cutting` takes for the labelled one.
    Missing where there is no face or no readable picture.
    """
    boxes = table.frame[list(BOX)].to_numpy(dtype=np.float64)
    whole = (boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1])
    rows_of = pd.Series(range(len(table))).groupby(pictures.place).indices
    wanted = {
        str(place): [boxes[row] if whole[row] else None for row in rows]
        for place, rows in rows_of.items()
    }
    collector = _Collector(wanted)
    for _ in model.stream(_photos(model, table, pictures, root), on_photo=collector):
        pass
    faces = pd.Series([collector.faces.get(str(p)) for p in range(len(pictures.frame))])
    years = np.full(len(table), np.nan)
    for place, rows in rows_of.items():
        years[rows] = collector.years.get(str(place), np.nan)
    return faces, pd.Series(years, index=table.frame.index)


def disagreements(table: SampleTable, years: pd.Series) -> pd.DataFrame:
    """Rows by how far the label is from `years` [N]: `sample_id`, `detail`, `error_years`.

    From a class of ages the distance is that to its nearer bound, 0 inside.
    """
    frame = table.frame
    low, high = (frame["age_years"].fillna(frame[name]) for name in ("age_low", "age_high"))
    error = (years - high).clip(lower=0).fillna(0) - (low - years).clip(lower=0).fillna(0)
    known = years.notna() & (low.notna() | high.notna())
    rows = frame.loc[known, ["sample_id"]].astype(object)
    rows["detail"] = [f"model says {value:.0f}" for value in years[known]]
    rows["error_years"] = error[known]
    order = rows["error_years"].abs().sort_values(ascending=False, kind="stable").index
    return rows.loc[order].reset_index(drop=True)


def _photos(
    model: AgeEstimator, table: SampleTable, pictures: Pictures, root: Root
) -> Iterator[Photo]:
    """The readable pictures, named by their place: two datasets may have the same path."""
    source = picture_source(root, table)
    for place, (dataset, path, status) in enumerate(
        pictures.frame[["dataset", "path", "status"]].itertuples(index=False, name=None)
    ):
        if status == "ok":
            yield read_photo(source(dataset, path), name=str(place), max_pixels=model.max_pixels)


def _age_of(faces: tuple[AgeEstimate, ...], photo: Photo, box: Floats | None) -> float:
    found = [age.face for age in faces if age.face is not None]
    height, width = photo.rgb.shape[:2]
    face = choose_face(found, (height, width), box)
    return next(
        (age.estimate_years for age in faces if age.face is face and face is not None), np.nan
    )
