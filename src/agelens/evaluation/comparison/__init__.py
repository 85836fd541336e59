"""Comparing models: the same samples, intervals by person, and who published what.

    tables = compared_tables(read_predictions("a.parquet"), "a")
    tables += compared_tables(read_predictions("b.csv"), "b")
    found = compare(tables)

Models of several seeds are measured by the mean over them. Each dataset is compared on the
samples that every model answered there. No torch: predictions are enough.
"""

from __future__ import annotations

from agelens.evaluation.comparison.common_samples import ComparedTable, compared_tables
from agelens.evaluation.comparison.compare import compare
from agelens.evaluation.comparison.comparison import Cell, Comparison, PairedDifference

__all__ = [
    "Cell",
    "ComparedTable",
    "Comparison",
    "PairedDifference",
    "compare",
    "compared_tables",
]
