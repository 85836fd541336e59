"""Other people's columns under this package's names: told by a mapping, or known by usual names."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from agelens.errors import TableError, UnknownNameError, UsageError
from agelens.tables.columns import refuse
from agelens.tables.samples import GENDERS

ColumnMapping: TypeAlias = Mapping[str, str | Sequence[object]]
"""From a table's column to the file's: its name, or a pair of it and the meaning of its codes."""

GENDER_COLUMNS: Final = ("gender", "gender_estimate")
_PLACELESS: Final = r"^/|^[A-Za-z]:|\\|(?:^|/)\.\.(?:/|$)"
_SHORT_GENDERS: Final = {
    **{word: word for word in GENDERS},
    **{word[0]: word for word in GENDERS},
    **{"woman": "female", "man": "male"},
}
_PICTURE: Final = ("path", "file", "filename", "filepath", "image", "imagepath", "photo", "picture")
_USUAL: Final[dict[str, tuple[str, ...]]] = {
    "path": (*_PICTURE, "img", "imgname", "imgpath", "imagename", "name"),
    "sample_id": (
        *("id", "sample", *_PICTURE, "imageid", "img", "imgname", "imgpath", "imagename"),
    ),
    "age_years": (
        *("age", "trueage", "realage", "apparentage", "label", "groundtruth", "target"),
        *("chronologicalage", "gtage", "agegt"),
    ),
    "estimate_years": (
        *("estimate", "estimatedage", "prediction", "pred", "predicted", "predictedage"),
        *("predage", "agepred", "output"),
    ),
    "gender": ("sex",),
    "ethnicity": ("race",),
    "low_years": ("low", "lower", "lowerbound", "predlow"),
    "high_years": ("high", "upper", "upperbound", "predhigh"),
    "gender_estimate": (
        *("estimatedgender", "predictedgender", "predgender", "genderpred", "genderprediction"),
        *("estimatedsex", "predictedsex", "predsex", "sexpred"),
    ),
    "subject": ("person", "identity", "subjectid", "personid", "individual"),
    "region": ("regionofbirth", "birthregion", "country", "countryofbirth", "birthcountry"),
    "frame": ("frameindex", "framenumber", "frameid"),
    "split": ("part", "subset", "partition"),
}
"""What columns are often called elsewhere, in small letters without separators."""


@dataclass(frozen=True, slots=True)
class MappedColumn:
    """One of the file's columns, and what its codes mean; no codes means words as they are."""

    source: str
    meaning: Mapping[str, str] = field(default_factory=dict)


def parse_mapping(columns: ColumnMapping, known: Sequence[str]) -> dict[str, MappedColumn]:
    """The mapping, checked.

    Raises:
        UnknownNameError: it names a column that the table, whose columns are `known`, has not.
        UsageError: a column is mapped to something else than a name, or a pair of it and codes.
    """
    for name in columns:
        if name not in known:
            raise UnknownNameError("table column", str(name), known)
    return {name: _column(name, given) for name, given in columns.items()}


def _column(name: str, given: object) -> MappedColumn:
    if isinstance(given, str):
        return MappedColumn(given)
    if isinstance(given, Sequence) and len(given) == 2:
        source, meaning = given
        if isinstance(source, str) and isinstance(meaning, Mapping):
            return MappedColumn(source, {str(code): str(word) for code, word in meaning.items()})
    raise UsageError(
        f"column {name!r} is mapped to a column's name, or to a pair of it and the meaning of its "
        f"codes, not to {given!r}"
    )


def words_of(name: str, values: pd.Series, meaning: Mapping[str, str]) -> pd.Series:
    """The words of a column of codes or words; empty cells are missing.

    Without codes, gender words may be `female`, `F`, `Woman` and the like.

    Raises:
        TableError: a code has no meaning; rows are named.
    """
    if isinstance(values.dtype, pd.CategoricalDtype):  # each word once, not ten million times
        codes, distinct = values.cat.codes.to_numpy(), values.cat.categories.to_series()
    else:
        codes, distinct = np.arange(len(values)), values
    texts = distinct.reset_index(drop=True).astype(object).map(_text, na_action="ignore")
    texts = texts.mask(texts.isna() | (texts == ""), None)
    if name.startswith("gender") and not meaning:
        texts, meaning = texts.str.lower(), _SHORT_GENDERS
    if not meaning:
        return _at(texts, codes, values)
    words = texts.map(_plain, na_action="ignore").map({_plain(k): v for k, v in meaning.items()})
    known = GENDERS if meaning is _SHORT_GENDERS else meaning
    bad = np.append(texts.notna() & words.isna(), False)
    refuse(values, bad[codes], f"is not one of {', '.join(map(repr, known))}")
    return _at(words, codes, values)


def _at(words: pd.Series, codes: NDArray[np.integer], rows: pd.Series) -> pd.Series:
    """The word of each of `rows`; the code of a missing one is -1."""
    found = np.array([*words, None], dtype=object)[codes]
    return pd.Series(found, index=rows.index, name=rows.name, dtype=object)


def _plain(code: str) -> str:
    """A code without what one program adds and another leaves out: 1 for 1.0."""
    return re.sub(r"^(-?\d+)\.0*$", r"\1", code)


def _text(value: object) -> str:
    """A code as the mapping spells it: 0, not 0.0, where a gap made a column of numbers float."""
    whole = isinstance(value, float | np.floating) and float(value).is_integer()
    return str(int(value) if whole else value).strip()  # type: ignore[call-overload]


def own_name(name: str) -> str:
    """What a column that is often called `name` elsewhere is called here: `sex` is `gender`."""
    plain = _letters(name)
    found = (own for own, usual in _USUAL.items() if plain in usual and own != "sample_id")
    return next(found, name)


def usual_columns(name: str, found: Iterable[object]) -> list[str]:
    """Those of `found` that are usually a table's column `name`, the likeliest first."""
    usual = (_letters(name), *_USUAL.get(name, ()))
    likely = [str(one) for one in found if _letters(one) in usual]
    return sorted(likely, key=lambda one: usual.index(_letters(one)))


def _letters(name: object) -> str:
    return re.sub(r"[\W_]", "", str(name).lower())


def suggested_mapping(wanted: Iterable[str], found: Iterable[object]) -> str:
    """The option that maps each of `wanted` to what it is usually called among `found`.

    >>> suggested_mapping(["path", "age_years", "gender"], ["file", "Age"])
    '--columns path=file,age_years=Age'
    """
    found = list(found)
    likely = {name: usual_columns(name, found) for name in wanted}
    pairs = {name: columns[0] for name, columns in likely.items() if columns}
    text = ",".join(f"{name}={given}" for name, given in pairs.items())
    return f"--columns {text}" if text else ""


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
