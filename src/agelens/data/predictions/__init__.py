"""Predictions of labelled pictures: from chips, from photos, and looked at one by one."""

from __future__ import annotations

from agelens.data.predictions.predict import (
    AGE_MODEL,
    check_other_chips,
    predict_photos,
    predict_store,
    with_estimated_ages,
)

__all__ = [
    "AGE_MODEL",
    "check_other_chips",
    "predict_photos",
    "predict_store",
    "with_estimated_ages",
]
