"""A column's values in its one compact dtype, so that equal tables are equal frames.

Arrow strings for texts that differ, categories for repeated words, nullable integers for
whole numbers, floats for the rest.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import numpy as np
import pandas as pd

from agelens.errors import TableError

_SHOWN: Final = 5


def refuse(values: pd.Series, bad: object, why: str) -> None:
    """Raise where any of `bad` [N] is true, naming column, count and the first rows.

    Raises:
        TableError: some are.
    """
    rows = np.flatnonzero(np.asarray(bad, dtype=bool))
    if not rows.size:
        return
    shown = values.iloc[rows[:_SHOWN]].tolist()  # 2.0, where NumPy says np.float64(2.0)
    first = ", ".join(f"row {row}: {value!r}" for row, value in zip(rows, shown, strict=False))
    more = ", ..." if rows.size > _SHOWN else ""
    raise TableError(f"column {values.name!r}: {rows.size} value(s) where it {why}: {first}{more}")


def problems_of(*checks: Callable[[], object]) -> list[str]:
    """What the checks complain of, so that all of it can be told at once."""
    found = []
    for check in checks:
        try:
            check()
        except TableError as bad:
            found.append(str(bad))
    return found


def raise_problems(what: object, problems: Sequence[str]) -> None:
    """Tell all that is wrong with a table at once, after `what` it is where that is known.

    Raises:
        TableError: there are problems.
    """
    if problems:
        shown = problems[0] if len(problems) == 1 else "".join(f"\n  {one}" for one in problems)
        raise TableError(f"{what}: {shown}" if what else shown.strip())


TEXT: Final = pd.StringDtype("pyarrow")
_DECIMAL_COMMA: Final = r"[+-]?\d+(?:,\d+)?(?:[eE][+-]?\d+)?"
_NOTHING: Final = ("", "na", "n/a", "nan", "null", "none")
"""How other tools write in a column of numbers that there is none."""
# Beyond 2**53 float64, through which numbers come, skips whole numbers.
_LARGEST: Final = {"Int16": 2**15 - 1, "Int64": 2**53}


def as_text(values: pd.Series) -> pd.Series:
    """Arrow strings; empty text is missing.

    Raises:
        TableError: a text cannot be written as UTF-8.
    """
    text = _text(values)
    empty = text == ""
    return text.mask(empty) if empty.any() else text


def as_floats(values: pd.Series, dtype: np.dtype[np.floating]) -> pd.Series:
    """Numbers, also where they come as text; missing is NaN.

    Raises:
        TableError: a value is not a number.
    """
    if values.dtype == dtype:
        return values
    try:  # astype reads text to the last bit, to_numeric does not in pandas 2
        return values.astype(np.float64).astype(dtype)
    except (ValueError, TypeError):
        texts = values.astype(TEXT).str.strip()
        texts = texts.mask(texts.str.lower().isin(_NOTHING))
        if (texts.dropna().str.fullmatch(_DECIMAL_COMMA)).all():  # as German spreadsheets write
            texts = texts.str.replace(",", ".")
        numeric = pd.to_numeric(texts, errors="coerce")
        refuse(values, numeric.isna() & texts.notna(), "is not a number")
    return pd.Series(numeric.to_numpy(dtype=dtype, na_value=np.nan), name=values.name)


def as_integers(values: pd.Series, dtype: pd.Int16Dtype | pd.Int64Dtype) -> pd.Series:
    """Nullable whole numbers.

    Raises:
        TableError: a value is not a whole number, or too large for `dtype`.
    """
    if values.dtype == dtype:
        return values
    numeric = as_floats(values, np.dtype(np.float64))
    refuse(values, (numeric % 1 != 0) & numeric.notna(), "is not a whole number")
    refuse(values, numeric.abs() > _LARGEST[dtype.name], "is too large")
    return numeric.astype(dtype)


def as_categories(values: pd.Series, vocabulary: Sequence[str] | None = None) -> pd.Series:
    """Categories: `vocabulary`, or the sorted words in use; equal values get equal dtypes.

    Raises:
        TableError: a word is not of the vocabulary.
    """
    if isinstance(values.dtype, pd.CategoricalDtype):
        codes, words = values.cat.codes.to_numpy(), values.cat.categories
    else:
        codes, words = pd.factorize(_text(values))
    spelled = words.astype(TEXT).to_numpy(dtype=object, na_value="")
    known = _in_use(codes, spelled) if vocabulary is None else tuple(vocabulary)
    place = {word: code for code, word in enumerate(known)}
    if vocabulary is not None:
        wrong = np.array([word not in place and word != "" for word in spelled] + [False])
        refuse(values, wrong[codes], f"is not one of {', '.join(known)}")
    # The last entry stands for code -1, a missing value.
    moved = np.array([place.get(word, -1) for word in spelled] + [-1])[codes]
    dtype = pd.CategoricalDtype(pd.Index(known, dtype=object))
    return pd.Series(pd.Categorical.from_codes(moved, dtype=dtype), name=values.name)


def as_plain(values: pd.Series) -> pd.Series:
    """Categories as text, for putting columns of several tables under one another."""
    return values.astype(TEXT) if isinstance(values.dtype, pd.CategoricalDtype) else values


def _in_use(codes: np.ndarray, words: np.ndarray) -> tuple[str, ...]:
    used = np.bincount(codes[codes >= 0], minlength=len(words)) > 0
    return tuple(sorted({*words[used]} - {""}))


def _text(values: pd.Series) -> pd.Series:
    if values.dtype == TEXT:
        return values
    try:
        return values.astype(TEXT)
    except UnicodeEncodeError:  # a file name's undecodable byte
        lone = [isinstance(text, str) and not _is_utf8(text) for text in values]
        refuse(values, lone, "cannot be written as UTF-8")
        raise


def _is_utf8(text: str) -> bool:
    return text.encode("utf-8", "replace").decode("utf-8") == text
