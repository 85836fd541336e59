"""What the interchange formats share: how a list's values are read, and what a writer reports."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd

from agelens.data.datasets import DATASETS
from agelens.errors import TableError, UsageError
from agelens.tables import AGE_KINDS, AgeKind, SampleTable, refuse
from agelens.whole_file import whole_file

PARTS: Final = ("train", "valid", "test")


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

    Raises:
        UsageError: none is given and the dataset is unknown, or has several kinds.
    """
    known = DATASETS[dataset].labels.split(" (")[0] if dataset in DATASETS else ""
    kind = age_kind or known.removesuffix(" classes")
    if kind not in AGE_KINDS:
        raise UsageError(
            f"the list does not say what kind its ages are, nor is that known of dataset "
            f"{dataset!r}: give age_kind as one of {', '.join(AGE_KINDS)}"
        )
    return kind  # type: ignore[return-value]


def listed_numbers(path: Path, values: pd.Series) -> pd.Series:
    """A text column as float64; an empty cell is missing.

    Raises:
        TableError: a text is no finite number; file, column and rows (from 0) are named.
    """
    text = values.mask(values.isna() | (values == ""))
    numbers = pd.to_numeric(text, errors="coerce").astype(np.float64)
    with _located(path):
        refuse(values, text.notna() & ~np.isfinite(numbers), "is not a number")
    return numbers


def listed_words(path: Path, values: pd.Series, meaning: Mapping[str, str]) -> pd.Series:
    """A column of codes as words; an empty cell is missing.

    Raises:
        TableError: a code has no meaning; file, column and rows (from 0) are named.
    """
    words = values.map(meaning)
    unknown = values.notna() & (values != "") & words.isna()
    with _located(path):
        refuse(values, unknown, f"is not one of {', '.join(map(repr, meaning))}")
    return words


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
        raise TableError(f"no row can be written; left out: {left_out or 'the table is empty'}")
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
    with whole_file(path) as partial:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield partial


@contextmanager
def _located(path: Path) -> Iterator[None]:
    try:
        yield
    except TableError as error:
        raise TableError(f"{path}: {error}") from error
