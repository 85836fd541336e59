"""Are two photos of the same person: a similarity, decided by thresholds that were measured."""

from __future__ import annotations

from agelens.recognition.verification.measured_rates import (
    MeasuredRate,
    MeasuredRates,
    measure_rates,
    rates_of,
)
from agelens.recognition.verification.photo_pair import PhotoVerifier, Verdict, VerifiedFace

__all__ = [
    "MeasuredRate",
    "MeasuredRates",
    "PhotoVerifier",
    "Verdict",
    "VerifiedFace",
    "measure_rates",
    "rates_of",
]
