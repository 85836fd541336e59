"""Predictions tables as commands name them: other tools' columns, and labels from elsewhere."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import yaml

from agelens.errors import UsageError
from agelens.tables import ColumnMapping, PredictionsTable, read_predictions, read_table


def read_predictions_as_asked(path: Path, options: argparse.Namespace) -> PredictionsTable:
    """The predictions at `path`, by the options --columns, --age-kind and --labels.

    Raises:
        UsageError: the mapping is none.
        TableError: see `read_predictions` and `PredictionsTable.with_labels`.
    """
    constants = {"age_kind": options.age_kind} if options.age_kind else None
    mapping = column_mapping(options.columns) if options.columns else None
    table = read_predictions(path, mapping, constants=constants)
    if options.labels is None:
        return table
    return table.with_labels(read_table(options.labels, extra=None))


def column_mapping(text: str) -> ColumnMapping:
    """The mapping that `text` is, as ``estimate_years=pred,age_years=age``, or that is in a file.

    Raises:
        UsageError: it is none.
    """
    if "=" in text:
        pairs = [part.partition("=") for part in text.split(",")]
        return {name.strip(): column.strip() for name, _, column in pairs}
    try:
        document = yaml.safe_load(Path(text).read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError, UnicodeDecodeError) as error:
        raise UsageError(
            f"--columns takes pairs such as estimate_years=pred, or a YAML file of them: {error}"
        ) from error
    if not isinstance(document, dict) or not document:
        raise UsageError(f"{text} holds no mapping of columns, such as `estimate_years: pred`")
    return {str(name): _source(name, given) for name, given in document.items()}


def _source(name: object, given: Any) -> str | tuple[str, dict[str, str]]:
    if isinstance(given, list) and len(given) == 2 and isinstance(given[1], dict):
        return str(given[0]), {str(code): str(word) for code, word in given[1].items()}
    if isinstance(given, dict | list):
        raise UsageError(f"{name}: a column's name, or [name, {{code: word}}], got {given!r}")
    return str(given)
