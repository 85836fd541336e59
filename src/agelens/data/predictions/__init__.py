"""Predictions of labelled pictures: from chips, from photos, and looked at one by one."""

from __future__ import annotations

from agelens.data.predictions.age_labels import AGE_MODEL, with_estimated_ages
from agelens.data.predictions.from_photos import predict_photos
from agelens.data.predictions.from_store import predict_store, refuse_other_chips

__all__ = [
    "AGE_MODEL",
    "predict_photos",
    "predict_store",
    "refuse_other_chips",
    "with_estimated_ages",
]
