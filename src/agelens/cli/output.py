"""What commands print, and what they check of an output before they begin to work."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from agelens.atomic import OUTPUTS
from agelens.errors import UsageError


def print_json(document: Any) -> None:
    """Print plain JSON types, indented."""
    print(json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False))


def print_rows(rows: Sequence[dict[str, Any]], *, as_json: bool = False) -> None:
    """Print rows that share their keys as a table, or as JSON."""
    if as_json:
        print_json(list(rows))
        return
    from rich.console import Console  # noqa: PLC0415 - a tenth of a second
    from rich.table import Table  # noqa: PLC0415

    table = Table()
    for column in rows[0]:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*map(str, row.values()))
    Console().print(table)


def check_new(path: Path, *, overwrite: bool = False) -> None:
    """Check that a file is not there yet, or may be overwritten; no other run may write it now.

    Raises:
        UsageError: it is there, or another run is writing it.
    """
    OUTPUTS.claim(path)
    if path.exists() and not overwrite:
        raise UsageError(f"{path} exists: give --overwrite to replace it, or another name")


def check_new_table(path: Path, *, overwrite: bool = False) -> None:
    """As `check_new`, and that a table can have this name.

    Raises:
        UsageError: it is there, or ends in neither .parquet nor .csv.
    """
    if path.suffix.lower() not in (".parquet", ".csv"):
        raise UsageError(f"{path}: a table's name ends in .parquet or .csv")
    check_new(path, overwrite=overwrite)
