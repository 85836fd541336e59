"""Figures in words: a value with its interval, years and shares as people read them."""

from __future__ import annotations

import math

import pandas as pd

from agelens.evaluation.metrics import METRICS


def with_interval(value: float, low: float, high: float, *, share: bool = False) -> str:
    """As ``4.78 [4.61, 4.95]``, or ``61.0 % [59.2, 62.8]``; empty where there is no value."""
    if value is None or math.isnan(value):
        return ""
    scale, digits, unit = (100, 1, " %") if share else (1, 2, "")
    text = f"{scale * value:.{digits}f}{unit}"
    if math.isnan(low) or math.isnan(high):
        return text
    return f"{text} [{scale * low:.{digits}f}, {scale * high:.{digits}f}]"


def row_figure(row: pd.Series, name: str = "value", prefix: str = "") -> str:
    """The figure `name` of a row by group or by gap, whose column `metric` says its unit."""
    share = METRICS[str(row["metric"])].unit == "share" and name in ("value", "gap")
    return with_interval(row[name], row[f"{prefix}low"], row[f"{prefix}high"], share=share)
