"""Whatever predictions a user has, as named tables: files, frames, runs, `agelens estimate`."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Final, TypeAlias

import numpy as np
import pandas as pd
import pyarrow.parquet as pq

from agelens.errors import TableError, UsageError
from agelens.evaluation.finished_runs import TEST, finished_run, run_folder
from agelens.foreign_files import decoding
from agelens.tables import (
    COLUMNS,
    LABELS,
    OPTIONAL_COLUMNS,
    UNSTATED,
    ColumnMapping,
    PredictionsTable,
    SampleTable,
    read_predictions,
)
from agelens.tables.files import read_frame
from agelens.tables.mapping import parse_mapping, words_of

Labels: TypeAlias = str | Path | pd.DataFrame | SampleTable
"""A table of labels: a file, a frame, or a sample table."""

PHOTO: Final = "photo"
"""The column that results of `agelens estimate` have, and predictions have not."""
_SIDES: Final = ("box_x1", "box_y1", "box_x2", "box_y2")
_ESTIMATES: Final = ("estimate_years", "low_years", "high_years", "interval_level", "model")


@dataclass(frozen=True, slots=True, eq=False)
class NamedTable:
    """Predictions under a name; `notes` are sentences on how they were read."""

    name: str
    predictions: PredictionsTable
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Reading:
    """How tables are read.

    Args:
        columns: from a predictions table's columns to those of the file or frame; of results of
            `agelens estimate`, which need none, to those of `labels`.
        labels: a table of labels to take in place of the predictions' own, by `sample_id`, or
            for results of `agelens estimate` by the photos' paths.
        age_kind: what the ages are, where the table does not say: real, apparent or estimated.
        part: of a run, whose predictions are taken.
    """

    columns: ColumnMapping | None = None
    labels: Labels | None = None
    age_kind: str | None = None
    part: str = TEST


def named_tables(given: Sequence[Any], reading: Reading) -> list[NamedTable]:
    """All tables of `given`, each under a name of its own.

    Args:
        given: paths of tables (.parquet, .csv, .jsonl of `agelens estimate`), frames,
            `PredictionsTable`s, runs or their folders; or mappings from names to such.
        reading: how they are read.

    Raises:
        UsageError: nothing was given, or two tables have one name.
        TableError: a table cannot be read, see `read_predictions`.
    """
    pairs = [pair for one in given for pair in _named(one)]
    if not pairs:
        raise UsageError("there is nothing to measure: name a table of predictions, or a run")
    stems = Counter(name for name, _ in pairs)
    tables = []
    for name, one in pairs:
        path = one if isinstance(one, str | Path) else None
        again = stems[name] > 1 and path is not None
        known = f"{Path(str(path)).resolve().parent.name}/{name}" if again else name
        tables.append(read_given(one, reading, known))
    twice = [name for name, count in Counter(one.name for one in tables).items() if count > 1]
    if twice:
        raise UsageError(f"tables of one name cannot be told apart: {', '.join(twice)}")
    return tables


def one_table(given: Any, reading: Reading) -> PredictionsTable:
    """The one table that `given` is."""
    (found,) = named_tables([given], reading)
    return found.predictions


def _named(given: Any) -> list[tuple[str, Any]]:
    if isinstance(given, Mapping) and not isinstance(given, pd.DataFrame):
        return [(str(name), one) for name, one in given.items()]
    folder = run_folder(given)
    if folder is not None:
        return [(folder.resolve().name, folder)]
    return [(Path(given).stem if isinstance(given, str | Path) else "table", given)]


def read_given(given: Any, reading: Reading, name: str) -> NamedTable:
    """One table; see `named_tables`."""
    if isinstance(given, PredictionsTable):
        return NamedTable(name, _labelled(given, reading))
    folder = run_folder(given)
    if folder is not None:
        return NamedTable(name, _labelled(finished_run(folder).predictions(reading.part), reading))
    if not isinstance(given, str | Path | pd.DataFrame):
        raise UsageError(
            "predictions are the path of a table, a pandas frame, a PredictionsTable, or a run, "
            f"not {type(given).__name__}"
        )
    results = _estimate_results(given)
    if results is not None:
        return _of_results(results, reading, name)
    constants = {"age_kind": reading.age_kind} if reading.age_kind else None
    table = read_predictions(given, reading.columns, constants=constants)
    return NamedTable(name, _labelled(table, reading))


def _labelled(table: PredictionsTable, reading: Reading) -> PredictionsTable:
    if reading.labels is None:
        return table
    return table.with_labels(labels_of(reading.labels, age_kind=reading.age_kind))


def labels_of(
    given: Labels, columns: ColumnMapping | None = None, age_kind: str | None = None
) -> SampleTable:
    """A table of labels; what a plain table of photos and ages lacks is filled in.

    Where it has no `sample_id`, the `path` is one; where it has no `dataset`, all is one.

    Raises:
        TableError: the file is absent or damaged; it has neither `sample_id` nor `path`; or what
            it holds are no labels.
    """
    if isinstance(given, SampleTable):
        return given
    frame = given if isinstance(given, pd.DataFrame) else read_frame(Path(given))
    if columns:
        wanted = parse_mapping(columns, COLUMNS)
        absent = [one.source for one in wanted.values() if one.source not in frame]
        if absent:
            found = ", ".join(map(str, frame.columns))
            raise TableError(f"the labels have no column {', '.join(absent)}; found: {found}")
        coded = {name for name, one in wanted.items() if one.meaning or name == "gender"}
        frame = pd.DataFrame(
            {
                name: words_of(name, frame[one.source], one.meaning)
                if name in coded
                else frame[one.source]
                for name, one in wanted.items()
            }
        )
    for name, other in (("sample_id", "path"), ("path", "sample_id")):
        if name not in frame and other in frame:
            frame = frame.assign(**{name: frame[other]})
    if "path" not in frame:
        found = ", ".join(map(str, frame.columns))
        raise TableError(
            f"labels are found by sample_id or path, and the table has neither; found: {found}. "
            "Say which column it is by a mapping such as path=file"
        )
    if "dataset" not in frame:
        frame = frame.assign(dataset="labels")
    if "age_kind" not in frame and "age_years" in frame:
        unknown = frame["age_years"].isna()
        kind = pd.Series(age_kind or UNSTATED, index=frame.index, dtype=object)
        frame = frame.assign(age_kind=kind.mask(unknown, None))
    known = [name for name in frame.columns if name in LABELS or name in _SIDES]
    return SampleTable.from_columns(frame[known])


def _estimate_results(given: str | Path | pd.DataFrame) -> pd.DataFrame | None:
    """Results of `agelens estimate`, a row a face; None for anything else."""
    if isinstance(given, pd.DataFrame):
        return given if PHOTO in given and "sample_id" not in given else None
    path = Path(given)
    if path.suffix.lower() != ".jsonl":
        names = _names_in(path)
        return read_frame(path) if PHOTO in names and "sample_id" not in names else None
    from agelens.inference.result_files import flatten  # noqa: PLC0415 - for JSON Lines alone

    with decoding(path, "JSON Lines of agelens estimate", TableError):
        lines = path.read_text(encoding="utf-8").splitlines()
        return pd.DataFrame([row for line in lines for row in flatten(json.loads(line))])


def _names_in(path: Path) -> list[str]:
    """The names of a file's columns; none of one that reading will complain of."""
    try:
        if path.suffix.lower() == ".parquet":
            return list(pq.read_schema(path).names)
        with path.open(encoding="utf-8") as file:
            return file.readline().strip().split(",")
    except (OSError, ValueError):  # Arrow's own errors are ValueErrors
        return []


def _of_results(frame: pd.DataFrame, reading: Reading, name: str) -> NamedTable:
    """Results of `agelens estimate` beside labels that are found by the photos' paths."""
    if reading.labels is None:
        raise TableError(
            f"{name} holds results of agelens estimate, which have no labels: name a table of "
            "photos and ages (--labels TABLE, or labels=)"
        )
    labels = labels_of(reading.labels, reading.columns, reading.age_kind)
    faces, several = _largest_faces(frame)
    rows, unlabelled = _places(faces[PHOTO], labels)
    if (rows < 0).all():
        raise TableError(
            f"none of the {len(faces):,} photos in {name}, such as {faces[PHOTO].iloc[0]!r}, is "
            f"among the labels' paths, such as {labels.frame['path'].iloc[0]!r}"
        )
    found = labels.frame.iloc[np.maximum(rows, 0)].reset_index(drop=True)
    known = pd.Series(rows >= 0)
    columns: dict[str, Any] = {one: found[one].where(known) for one in LABELS}
    columns["sample_id"] = found["sample_id"].astype(object).where(known, faces[PHOTO])
    kept = (*_ESTIMATES, *OPTIONAL_COLUMNS, "status")
    probabilities = [str(one) for one in faces if str(one).startswith("p_")]
    columns |= {one: faces[one] for one in (*kept, *probabilities) if one in faces}
    if "gender" in faces:
        columns["gender_estimate"] = faces["gender"]
    missing = len(labels) - len(np.unique(rows[rows >= 0]))
    told = {
        "photos have several faces: the largest was taken": several,
        "photos have no label of their own": unlabelled,
        "labels have no photo here": missing,
    }
    notes = tuple(f"{count:,} {what}" for what, count in told.items() if count)
    return NamedTable(name, PredictionsTable.from_columns(columns), notes)


def _largest_faces(frame: pd.DataFrame) -> tuple[pd.DataFrame, int]:
    """One row a photo, and of how many photos it was chosen among several faces."""
    if "frame" in frame and frame["frame"].notna().any():
        raise TableError("results of videos have no photos whose ages are known: leave them out")
    left, top, right, bottom = (frame[side].astype(float) for side in _SIDES)
    area = ((right - left) * (bottom - top)).fillna(0)
    order = area.sort_values(ascending=False, kind="stable").index
    chosen = frame.loc[order].drop_duplicates(PHOTO).sort_index().reset_index(drop=True)
    return chosen, int((frame[PHOTO].value_counts() > 1).sum())


def _places(photos: pd.Series, labels: SampleTable) -> tuple[np.ndarray, int]:
    """The row of each photo's label, -1 where it has none; and how many have none.

    A photo's name ends in the label's path, or in nothing but its file name where that is one
    label's alone.
    """
    paths = labels.frame["path"].astype(object).tolist()
    counts = Counter(paths)
    whole = {path: row for row, path in enumerate(paths) if counts[path] == 1}
    files = Counter(PurePosixPath(path).name for path in whole)
    bare = {PurePosixPath(path).name: row for path, row in whole.items()}
    bare = {name: row for name, row in bare.items() if files[name] == 1}
    rows = []
    for photo in photos:
        parts = PurePosixPath(Path(str(photo)).as_posix()).parts
        ends = ("/".join(parts[start:]) for start in range(len(parts)))
        place = next((whole[end] for end in ends if end in whole), None)
        rows.append(bare.get(parts[-1], -1) if place is None else place)
    found = np.array(rows, dtype=np.int64)
    return found, int((found < 0).sum())
