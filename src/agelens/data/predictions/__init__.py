"""Predictions of labelled pictures: from chips, from photos, and looked at one by one."""

from __future__ import annotations

from agelens.data.predictions.from_photos import predict_photos
from agelens.data.predictions.from_store import predict_store, refuse_other_chips

__all__ = ["predict_photos", "predict_store", "refuse_other_chips"]
