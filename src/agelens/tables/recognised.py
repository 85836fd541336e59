"""Anybody's columns under this package's names: told by a mapping, or known by usual names."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import pandas as pd

from agelens.errors import TableError
from agelens.tables.mapping import (
    ColumnMapping,
    MappedColumn,
    parse_mapping,
    usual_columns,
    words_of,
)

GENDER_COLUMNS: Final = ("gender", "gender_estimate")
_PLACELESS: Final = r"^/|^[A-Za-z]:|\\|(?:^|/)\.\.(?:/|$)"


@dataclass(frozen=True, slots=True, eq=False)
class Recognised:
    """A table under this package's names.

    `guessed` are the columns that nobody told, by the name that they were given. `notes` say so,
    and what was left out; `problems` are what keeps the table from being read, and `remedy` the
    pairs that ``--columns`` needs beside what was told.
    """

    frame: pd.DataFrame
    guessed: Mapping[str, str]
    notes: tuple[str, ...]
    problems: tuple[str, ...]
    remedy: tuple[str, ...]


def recognised(
    frame: pd.DataFrame,
    columns: ColumnMapping | None,
    *,
    known: Sequence[str],
    wanted: Sequence[str],
) -> Recognised:
    """The columns of `frame` under this package's names; others are kept as they are.

    Args:
        frame: as it was read.
        columns: what its owner says of it, which goes before what names suggest.
        known: the names of this package's table, which a mapping may name.
        wanted: those of them that are looked for under other names.

    Raises:
        UnknownNameError: the mapping names a column that the table has not.
    """
    told = parse_mapping(columns or {}, known)
    found = [str(name) for name in frame.columns]
    frame = frame.set_axis(found, axis="columns")
    problems = [
        f"no column {one.source}, which {name} is said to be; found: {', '.join(found)}"
        for name, one in told.items()
        if one.source not in found
    ]
    told = {name: one for name, one in told.items() if one.source in found}
    guessed, doubts = _guessed(found, told, known, wanted)
    problems += [f"{name} could be {' or '.join(likely)}" for name, likely in doubts.items()]
    read: dict[str, pd.Series] = {}
    notes = []
    for name, one in (told | guessed).items():
        values = frame[one.source]
        try:
            coded = one.meaning or name in GENDER_COLUMNS
            read[name] = words_of(name, values, one.meaning) if coded else values
        except TableError as bad:
            if name in told:
                problems.append(f"{bad}{_codes_line(name, one.source, values)}")
                continue
            del guessed[name]
            notes.append(
                f"{one.source} is left out, as nobody says what its words mean"
                f"{_codes_line(name, one.source, values)}"
            )
    if guessed:
        pairs = ", ".join(f"{one.source} is {name}" for name, one in guessed.items())
        notes.insert(0, f"columns recognised: {pairs}")
    used = {one.source for one in (told | guessed).values()} | {*read}
    rest = {name: frame[name] for name in found if name not in used}
    whole = pd.DataFrame(rest | read, index=frame.index, copy=False)
    whole.attrs = dict(frame.attrs)
    return Recognised(
        whole,
        {name: one.source for name, one in guessed.items()},
        tuple(notes),
        tuple(problems),
        tuple(f"{name}={likely[0]}" for name, likely in doubts.items()),
    )


def _guessed(
    found: Sequence[str],
    told: Mapping[str, MappedColumn],
    known: Sequence[str],
    wanted: Sequence[str],
) -> tuple[dict[str, MappedColumn], dict[str, list[str]]]:
    """Columns known by their usual names, and those of which there are several."""
    taken = {one.source for one in told.values()}
    guessed, doubts = {}, {}
    for name in wanted:
        if name in told or (name in found and name not in taken):
            continue
        likely = usual_columns(name, [one for one in found if one not in (*taken, *known)])
        if len(likely) > 1 and name not in ("sample_id", "path"):  # any name of a picture will do
            doubts[name] = likely
        elif likely:
            guessed[name] = MappedColumn(likely[0])
            if name != "sample_id":
                taken.add(likely[0])
    return guessed, doubts


def _codes_line(name: str, source: str, values: pd.Series) -> str:
    """What to add so that codes have a meaning."""
    codes = sorted({str(one).removesuffix(".0") for one in values.dropna().unique()[:9]})[:2]
    if len(codes) < 2 or any(re.search(r"[:/=,\s]", code) for code in codes):
        return ""
    return f"; where it is so, add --columns {name}={source}:{codes[0]}=male/{codes[1]}=female"


def with_row_names(frame: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """The same rows with a `sample_id`: that of the table, else its paths, else row numbers.

    A path that can be none inside a dataset's folder, as other tools write it, is only a name.
    """
    notes = []
    if "path" in frame:
        paths = frame["path"].astype("string")
        if "sample_id" not in frame:
            frame = frame.assign(sample_id=frame["path"])
        if paths.str.contains(_PLACELESS, regex=True).fillna(value=False).any():
            frame = frame.drop(columns="path")
            notes.append("paths are names only, since they lie in no dataset's folder")
    if "sample_id" not in frame:
        frame = frame.assign(sample_id=[f"row {number + 1}" for number in range(len(frame))])
        notes.append("rows are told apart by their numbers, as no column names the picture")
    return frame, notes
