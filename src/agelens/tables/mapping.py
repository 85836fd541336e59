"""Other people's columns read under this package's names, and the mapping to suggest for them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from agelens.errors import UnknownNameError, UsageError
from agelens.tables.columns import refuse
from agelens.tables.samples import GENDERS

ColumnMapping: TypeAlias = Mapping[str, str | Sequence[object]]
"""From a table's column to the file's: its name, or a pair of it and the meaning of its codes."""

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
