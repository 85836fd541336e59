"""Tables: what the parts of agelens hand to one another, as columns with fixed meaning."""

from __future__ import annotations

from agelens.tables.columns import refuse
from agelens.tables.mapping import ColumnMapping
from agelens.tables.predictions import (
    ESTIMATES,
    LABELS,
    NO_ESTIMATE,
    OK,
    OPTIONAL_COLUMNS,
    PREDICTION_COLUMNS,
    QUALITY,
    Distribution,
    PredictionsTable,
    read_predictions,
    write_predictions,
)
from agelens.tables.samples import (
    AGE_KINDS,
    BOX,
    COLUMNS,
    GENDERS,
    LANDMARKS,
    REQUIRED,
    UNSTATED,
    YEARS,
    AgeKind,
    SampleTable,
    read_table,
    write_table,
)

__all__ = [
    "AGE_KINDS",
    "BOX",
    "COLUMNS",
    "ESTIMATES",
    "GENDERS",
    "LABELS",
    "LANDMARKS",
    "NO_ESTIMATE",
    "OK",
    "OPTIONAL_COLUMNS",
    "PREDICTION_COLUMNS",
    "QUALITY",
    "REQUIRED",
    "UNSTATED",
    "YEARS",
    "AgeKind",
    "ColumnMapping",
    "Distribution",
    "PredictionsTable",
    "SampleTable",
    "read_predictions",
    "read_table",
    "refuse",
    "write_predictions",
    "write_table",
]
