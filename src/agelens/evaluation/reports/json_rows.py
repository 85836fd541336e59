"""Tables as plain JSON types: Python's numbers, null for what is not defined."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd


def json_rows(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """A record for each row."""
    plain = frame.astype(object).where(frame.notna(), None)
    return [plain_json(row) for row in plain.to_dict("records")]


def plain_json(values: Mapping[Any, Any]) -> dict[str, Any]:
    """Values by name, each a plain one, null for NaN."""
    return {str(name): _plain(value) for name, value in values.items()}


def _plain(value: Any) -> Any:
    if value is None or isinstance(value, str | bool):
        return value
    if pd.api.types.is_scalar(value) and pd.isna(value):
        return None
    return value.item() if hasattr(value, "item") else value
