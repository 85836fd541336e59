"""Whatever predictions a user has, as named tables: files, frames, runs, `agelens estimate`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Final, TypeAlias

import numpy as np
import pandas as pd

from agelens.errors import TableError, UsageError
from agelens.evaluation.finished_runs import TEST, finished_run, run_folder
from agelens.foreign_files import decoding, parse_json
from agelens.tables import (
    COLUMNS,
    LABELS,
    OPTIONAL_COLUMNS,
    UNSTATED,
    ColumnMapping,
    PredictionsTable,
    SampleTable,
)
from agelens.tables.bulk_results import is_bulk_result, read_bulk_frame
from agelens.tables.columns import raise_problems
from agelens.tables.files import read_frame
from agelens.tables.mapping import recognised
from agelens.tables.predictions import is_probability, read_with_notes
from agelens.tables.samples import may_repeat

Labels: TypeAlias = str | Path | pd.DataFrame | SampleTable
"""A table of labels: a file, a frame, or a sample table."""

PHOTO: Final = "photo"
"""The column that results of `agelens estimate` have, and predictions have not."""
_OF_RESULTS: Final = frozenset({PHOTO, "status", "estimate_years"})
_OWN_LABELS: Final = ("age_years", "gender", "ethnicity", "subject", "split")
_WANTED_LABELS: Final = ("sample_id", "path", *_OWN_LABELS)
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


def one_table(given: Any, reading: Reading) -> NamedTable:
    """The one table that `given` is."""
    (found,) = named_tables([given], reading)
    return found


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
        return _labelled(given, reading, name)
    folder = run_folder(given)
    if folder is not None:
        return _labelled(finished_run(folder).predictions(reading.part), reading, name)
    if not isinstance(given, str | Path | pd.DataFrame):
        raise UsageError(
            "predictions are the path of a table, a pandas frame, a PredictionsTable, or a run, "
            f"not {type(given).__name__}"
        )
    frame = given if isinstance(given, pd.DataFrame) else _read(Path(given))
    if {*map(str, frame.columns)} >= _OF_RESULTS:
        with decoding(name, "results of agelens estimate", TableError):
            return _of_results(frame, reading, name)
    file = None if isinstance(given, pd.DataFrame) else given
    constants = {"age_kind": reading.age_kind} if reading.age_kind else None
    table, notes = read_with_notes(frame, reading.columns, constants=constants, name=file)
    return _labelled(table, reading, name, notes)


def _read(path: Path) -> pd.DataFrame:
    """The table at `path`, a file of JSON Lines or the folder of a bulk run too."""
    if is_bulk_result(path):
        return read_bulk_frame(path)
    if path.suffix.lower() != ".jsonl":
        return read_frame(path, small_floats=is_probability)
    from agelens.inference.result_files import flatten  # noqa: PLC0415 - for JSON Lines alone

    with decoding(path, "JSON Lines of agelens estimate", TableError):
        lines = path.read_text(encoding="utf-8").splitlines()
        return pd.DataFrame([row for line in lines for row in flatten(parse_json(line))])


def _labelled(
    table: PredictionsTable, reading: Reading, name: str, notes: Sequence[str] = ()
) -> NamedTable:
    """The table with the labels that were given beside it, if any."""
    if reading.labels is None:
        return NamedTable(name, table, tuple(notes))
    labels, of_labels = labels_of(reading.labels, age_kind=reading.age_kind)
    notes = (*notes, *of_labels)
    ids = table.frame["sample_id"]
    place = pd.Index(labels.frame["sample_id"]).get_indexer(ids)
    if (place < 0).any():
        place = _checked_places(name, ids, labels)
        notes = (*notes, *_counted(place, labels))
    found = _labels_at(labels, place)
    frame = table.frame.assign(**found).assign(sample_id=ids)
    return NamedTable(name, PredictionsTable(frame, table.distribution, table.scale), notes)


def labels_of(
    given: Labels, columns: ColumnMapping | None = None, age_kind: str | None = None
) -> tuple[SampleTable, tuple[str, ...]]:
    """A table of labels, and sentences on how it was read; what it lacks is filled in.

    Where it has no `sample_id`, the `path` is one; where it has no `dataset`, all is one.

    Raises:
        TableError: the file is absent or damaged; it has neither `sample_id` nor `path`; or what
            it holds are no labels.
    """
    if isinstance(given, SampleTable):
        return given, ()
    frame = given if isinstance(given, pd.DataFrame) else read_frame(Path(given))
    what = "the labels" if isinstance(given, pd.DataFrame) else str(given)
    read = recognised(frame, columns, known=COLUMNS, wanted=_WANTED_LABELS)
    problems, frame = list(read.problems), read.frame
    for name, other in (("sample_id", "path"), ("path", "sample_id")):
        if name not in frame and other in frame:
            frame = frame.assign(**{name: frame[other]})
    if "path" not in frame and not problems:
        found = ", ".join(map(str, frame.columns))
        problems.append(
            f"labels are found by sample_id or path, and the table has neither; found: {found}. "
            "Say which column it is: --columns path=COLUMN"
        )
    elif problems:
        problems += [f"add --columns {','.join(read.remedy)}"] * bool(read.remedy)
    raise_problems(what, problems)
    if "dataset" not in frame:
        frame = frame.assign(dataset="labels")
    if "age_kind" not in frame and "age_years" in frame:
        unknown = frame["age_years"].isna()
        kind = pd.Series(age_kind or UNSTATED, index=frame.index, dtype=object)
        frame = frame.assign(age_kind=kind.mask(unknown, None))
    known = [name for name in frame.columns if name in LABELS or name in _SIDES]
    return SampleTable.from_columns(frame[known]), tuple(f"labels: {one}" for one in read.notes)


def _of_results(frame: pd.DataFrame, reading: Reading, name: str) -> NamedTable:
    """Results of `agelens estimate`: beside labels found by the photos' paths, or their own.

    Labels of their own are columns that somebody put beside them, such as `age` and `sex`.
    """
    faces, several = _largest_faces(frame)
    told = {"photos have several faces: the largest was taken": several}
    if reading.labels is None:
        own_names = {} if "gender_estimate" in faces else {"gender": "gender_estimate"}
        columns_of_model = faces.rename(columns=own_names)
        own = recognised(columns_of_model, reading.columns, known=LABELS, wanted=_OWN_LABELS)
        if "age_years" not in own.frame:
            raise TableError(
                f"{name} holds results of agelens estimate, which have no labels: name a table of "
                "photos and ages (--labels TABLE, or labels=), or the column that has the ages "
                "(--columns age_years=COLUMN)"
            )
        raise_problems(name, own.problems)
        found = {one: own.frame[one] for one in LABELS if one in own.frame}
        if "age_kind" not in found:
            codes = found["age_years"].notna().to_numpy(dtype=np.int8) - 1  # -1 is no kind
            words = pd.CategoricalDtype(pd.Index([reading.age_kind or UNSTATED], dtype=object))
            found["age_kind"] = pd.Series(pd.Categorical.from_codes(codes, dtype=words))
        found["sample_id"], notes = faces[PHOTO], own.notes
    else:
        labels, notes = labels_of(reading.labels, reading.columns, reading.age_kind)
        place = _checked_places(name, faces[PHOTO], labels)
        found = _labels_at(labels, place)
        found["sample_id"] = found["sample_id"].where(pd.Series(place >= 0), faces[PHOTO])
        notes = (*notes, *_counted(place, labels))
    columns: dict[str, Any] = dict(found)
    kept = (*_ESTIMATES, *OPTIONAL_COLUMNS, "status")
    probabilities = [str(one) for one in faces if is_probability(str(one))]
    columns |= {one: faces[one] for one in (*kept, *probabilities) if one in faces}
    seen = "gender_estimate" if "gender_estimate" in faces else "gender"
    if seen in faces:
        columns["gender_estimate"] = faces[seen]
    faces_told = tuple(f"{count:,} {what}" for what, count in told.items() if count)
    return NamedTable(name, PredictionsTable.from_columns(columns), (*notes, *faces_told))


def _checked_places(name: str, names: pd.Series, labels: SampleTable) -> np.ndarray:
    """The row of each picture's label, -1 where it has none; none at all is refused."""
    place = _places(names, labels)
    if (place < 0).all():
        raise TableError(
            f"none of the {len(names):,} photos in {name}, such as {names.iloc[0]!r}, is "
            f"among the labels' paths, such as {labels.frame['path'].iloc[0]!r}"
        )
    return place


def _labels_at(labels: SampleTable, place: np.ndarray) -> dict[str, pd.Series]:
    found = labels.frame.iloc[np.maximum(place, 0)].reset_index(drop=True)
    return {one: found[one].astype(object).where(pd.Series(place >= 0)) for one in LABELS}


def _counted(place: np.ndarray, labels: SampleTable) -> tuple[str, ...]:
    told = {
        "photos have no label of their own": int((place < 0).sum()),
        "labels have no photo here": len(labels) - len(np.unique(place[place >= 0])),
    }
    return tuple(f"{count:,} {what}" for what, count in told.items() if count)


def _largest_faces(frame: pd.DataFrame) -> tuple[pd.DataFrame, int]:
    """One row a photo, and of how many photos it was chosen among several faces."""
    if "frame" in frame and frame["frame"].notna().any():
        raise TableError("results of videos have no photos whose ages are known: leave them out")
    if not may_repeat(frame[PHOTO]):  # without another copy of ten million rows
        return frame.reset_index(drop=True), 0
    left, top, right, bottom = (frame[side].astype(float) for side in _SIDES)
    area = ((right - left) * (bottom - top)).fillna(0)
    order = area.sort_values(ascending=False, kind="stable").index
    chosen = frame.loc[order].drop_duplicates(PHOTO).sort_index().reset_index(drop=True)
    return chosen, int((frame[PHOTO].value_counts() > 1).sum())


def _places(photos: pd.Series, labels: SampleTable) -> np.ndarray:
    """The row of each photo's label, -1 where it has none.

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
    return np.array(rows, dtype=np.int64)
