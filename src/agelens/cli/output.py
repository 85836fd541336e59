"""What commands print: rows as a table, documents as JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any


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
