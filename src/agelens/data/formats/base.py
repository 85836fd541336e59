"""What the interchange formats share: how a list's values are read, and what a writer reports."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from agelens.atomic import atomic_file
from agelens.data.datasets import DATASETS
from agelens.data.datasets.agedb import person_key
from agelens.errors import DatasetError, TableError, UsageError
from agelens.tables import AGE_KINDS, UNSTATED, AgeKind, SampleTable, refuse
from agelens.tables.mapping import words_of

LETTERS: Final = {
    "A": "Asian",
    "B": "Black",
    "H": "Hispanic",
    "O": "Other",
    "W": "White",
}
"""Words as the MORPH reader writes them."""


_AFAD: Final = r"(?:(?P<age>\d+)/11[12]/)?(?P<subject>\d+)-\d+\.\w+$"
_NAMES: Final[dict[str, str]] = {
    "agedb": r"\d+_(?P<subject>[^/]*)_(?P<age>\d+)\s*_[mf]\s*\.\w+$",
    "afad-full": _AFAD,
    "afad-lite": _AFAD,
    "cacd2000": r"(?P<age>\d+)_(?P<subject>[^/]+)_\d+\.\w+$",
    "morph2": r"(?P<subject>\d+)_\d{1,2}[mf](?P<age>\d\d)\.\w+$",
    "fgnet": r"(?P<subject>\d{3})a(?P<age>\d\d)[a-z]?\.\w+$",
    "utkface": r"(?P<age>\d+)_\d_+\d*[^/]*\.\w+$",
    "utkface-wild": r"(?P<age>\d+)_\d_+\d*[^/]*\.\w+$",
}


def subjects_from_names(dataset: str, paths: Iterable[str]) -> list[str | None]:
    """The person [N] in each path, spelled as the dataset's reader spells it, or None."""
    found = [None if match is None else match.get("subject") for match in _groups(dataset, paths)]
    spell = person_key if dataset == "agedb" else _composed
    return [None if name is None else spell(name) for name in found]


def ages_from_names(dataset: str, paths: Iterable[str]) -> NDArray[np.float64]:
    """The age [N] in each path, NaN where it holds none."""
    found = [None if match is None else match.get("age") for match in _groups(dataset, paths)]
    return np.array([np.nan if age is None else float(age) for age in found])


def _groups(dataset: str, paths: Iterable[str]) -> list[dict[str, str | None] | None]:
    if dataset not in _NAMES:
        return [None for _ in paths]
    pattern = re.compile(r"(?:^|/)" + _NAMES[dataset], re.IGNORECASE)
    matches = [pattern.search(path) for path in paths]
    return [None if match is None else match.groupdict() for match in matches]


def _composed(name: str) -> str:
    return unicodedata.normalize("NFC", name)


PARTS: Final = ("train", "valid", "test")
NO_PART: Final = "in no part"


@dataclass(frozen=True, slots=True)
class Written:
    """What a writer did: its files, their rows, and the rows it left out, by reason."""

    paths: tuple[Path, ...]
    rows: int
    left_out: Mapping[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Format:
    """An interchange format: one line about it, and its two functions."""

    summary: str
    read: Callable[..., SampleTable]
    write: Callable[..., Written]


def kind_of(dataset: str, age_kind: AgeKind | None) -> AgeKind:
    """The kind of ages in a list that does not say it: as given, or as the dataset is known for.

    That of an unknown dataset is `unstated`.

    Raises:
        UsageError: none is given and the dataset has several kinds.
    """
    if age_kind is not None:
        return age_kind
    if dataset not in DATASETS:
        return UNSTATED
    kind = DATASETS[dataset].labels.split(" (")[0].removesuffix(" classes")
    if kind not in AGE_KINDS:
        raise UsageError(
            f"dataset {dataset!r} has several kinds of ages, and the list does not say which: give "
            f"age_kind as one of {', '.join(AGE_KINDS)}"
        )
    return kind  # type: ignore[return-value]


def listed_numbers(path: Path, values: pd.Series) -> pd.Series:
    """A text column as float64; an empty cell is missing.

    Raises:
        TableError: a text is no finite number; file, column and rows (from 0) are named.
    """
    with _located(path):
        return finite_numbers(values)


def finite_numbers(values: pd.Series) -> pd.Series:
    """As `listed_numbers`, for values that are in no file."""
    text = values.mask(values.isna() | (values == ""))
    numbers = pd.to_numeric(text, errors="coerce").astype(np.float64)
    refuse(values, text.notna() & ~np.isfinite(numbers), "is not a number")
    return numbers


def listed_words(path: Path, values: pd.Series, meaning: Mapping[str, str]) -> pd.Series:
    """A column of codes as words; an empty cell is missing.

    Raises:
        TableError: a code has no meaning; file, column and rows (from 0) are named.
    """
    with _located(path):
        return words_of(str(values.name), values, meaning)


def whole_years(frame: pd.DataFrame, round_ages: bool) -> pd.Series:
    """Ages as whole numbers, for formats whose readers count classes.

    Raises:
        TableError: an age is not whole and `round_ages` is not set.
    """
    years = frame["age_years"]
    if not round_ages:
        refuse(years, years % 1 != 0, "is not a whole year, which the format needs (round_ages)")
    whole: pd.Series = np.floor(years + 0.5).astype("int64")
    return whole


def usable(
    frame: pd.DataFrame, reasons: Mapping[str, pd.Series]
) -> tuple[pd.DataFrame, dict[str, int]]:
    """The rows without an issue and without any of `reasons`, and counts of the others.

    Raises:
        TableError: nothing is left to write.
    """
    left_out, keep = {}, pd.Series(True, index=frame.index)
    for reason, bad in {"with an issue": frame["issue"].notna(), **reasons}.items():
        count = int((keep & bad).sum())
        keep &= ~bad
        if count:
            left_out[reason] = count
    if not keep.any():
        why = ", ".join(f"{count:,} {reason}" for reason, count in left_out.items())
        hint = "; agelens data split --split-table puts them into parts" * (NO_PART in left_out)
        raise TableError(f"no row can be written: {why or 'the table is empty'}{hint}")
    return frame[keep], left_out


def write_csv(frame: pd.DataFrame, path: Path) -> None:
    """Write a CSV as UTF-8; it appears whole or not at all.

    Raises:
        OutputError: it cannot be written.
    """
    with writing(path) as partial:
        frame.to_csv(partial, index=False, lineterminator="\n", encoding="utf-8")


@contextmanager
def writing(path: Path) -> Iterator[Path]:
    """A name to write to, which becomes `path` when all went well.

    Raises:
        OutputError: the file cannot be written.
    """
    with atomic_file(path) as partial:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield partial


@contextmanager
def _located(path: Path) -> Iterator[None]:
    try:
        yield
    except TableError as error:
        raise TableError(f"{path}: {error}") from error


def find_part_files(folder: str | Path, ending: str, prefix: str | None = None) -> dict[str, Path]:
    """The files `{prefix}_{part}{ending}` of a folder by part, whatever their case.

    Args:
        folder: where they lie.
        ending: of the name, after the part.
        prefix: which lists; None where the folder holds those of one dataset only.

    Raises:
        DatasetError: there is none, or those of several datasets; the message names what is there.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise DatasetError(f"there is no folder {folder}; the lists are looked for in a folder")
    pattern = re.compile(rf"(?P<prefix>.+)_(?P<part>{'|'.join(PARTS)}){re.escape(ending)}", re.I)
    names = sorted(path.name for path in folder.iterdir())
    found = [match for name in names if (match := pattern.fullmatch(name))]
    prefixes = sorted({match["prefix"] for match in found if prefix in (None, match["prefix"])})
    if len(prefixes) != 1:
        wanted = f"{prefix or '[dataset]'}_{{train,valid,test}}{ending}"
        there = f"lists of {', '.join(prefixes)}: name one as prefix" if prefixes else "none"
        listed = ", ".join(names[:8]) or "nothing"
        raise DatasetError(f"{folder}: looked for {wanted}, found {there}. It holds {listed}")
    parts = {m["part"].lower(): folder / m.string for m in found if m["prefix"] == prefixes[0]}
    return {part: parts[part] for part in PARTS if part in parts}


def prefix_of(table: SampleTable, prefix: str | None) -> str:
    """The first word of the files' names: as given, or the table's one dataset.

    Raises:
        UsageError: the table is of several datasets and none is given.
        TableError: the table is empty.
    """
    if prefix is not None:
        return prefix
    names = table.frame["dataset"].unique()
    if not len(names):
        raise TableError("the table is empty")
    if len(names) > 1:
        raise UsageError(f"the table holds {', '.join(names)}: say the prefix of the files' names")
    return str(names[0])
