"""The option `--columns`: other people's column names, inline or in a file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agelens.errors import UsageError
from agelens.foreign_files import read_yaml

if TYPE_CHECKING:
    from agelens.tables import ColumnMapping


def column_mapping(words: str | Sequence[str] | None) -> ColumnMapping | None:
    """The mapping that `words` are, as ``estimate_years=pred``, or that is in the file they name.

    Codes are given as ``gender=sex:0=male/1=female``.

    Raises:
        UsageError: they are none.
    """
    if not words:
        return None
    pairs = words.split(",") if isinstance(words, str) else list(words)
    if all("=" in pair for pair in pairs):
        split = [pair.partition("=") for pair in pairs]
        return {name.strip(): _with_codes(column.strip()) for name, _, column in split}
    return _of_file(",".join(pairs))


def _with_codes(column: str) -> str | tuple[str, dict[str, str]]:
    """``sex:0=male/1=female`` as the column and its codes; a mere name as it is."""
    name, colon, codes = column.partition(":")
    pairs = [code.partition("=") for code in codes.split("/")]
    if not colon or not all(code and word for code, _, word in pairs):
        return column
    return name, {code.strip(): word.strip() for code, _, word in pairs}


def _of_file(name: str) -> ColumnMapping:
    try:
        document = read_yaml(Path(name), UsageError, as_text=True)
    except UsageError as error:
        raise UsageError(
            f"--columns takes pairs such as estimate_years=pred, or a YAML file of them; {error}"
        ) from error
    if not isinstance(document, dict) or not document:
        raise UsageError(f"{name} holds no mapping of columns, such as `estimate_years: pred`")
    return {str(column): _source(column, given) for column, given in document.items()}


def _source(name: object, given: Any) -> str | tuple[str, dict[str, str]]:
    if isinstance(given, list) and len(given) == 2 and isinstance(given[1], dict):
        return str(given[0]), {str(code): str(word) for code, word in given[1].items()}
    if isinstance(given, dict | list):
        raise UsageError(f"{name}: a column's name, or [name, {{code: word}}], got {given!r}")
    return str(given)
