"""Published test protocols of face recognition across age, on tables of embeddings.

    table = read_embeddings("fgnet.parquet")
    leave_one_out(table).rates[1]
    verification(table, read_calfw_pairs(root)).accuracy

All is NumPy, a block of similarities at a time. What cannot be measured is counted and named in
each result, and intervals resample people.
"""

from __future__ import annotations

from agelens.recognition.protocols.identification import Identification, Trials, rank_1_gain
from agelens.recognition.protocols.pair_scores import IEFP_THRESHOLDS, RocCurve, roc_curve
from agelens.recognition.protocols.rates import Rate, Resampling
from agelens.recognition.protocols.searches import leave_one_out, megaface_style, probe_gallery
from agelens.recognition.protocols.verification import Verification, verification

__all__ = [
    "IEFP_THRESHOLDS",
    "Identification",
    "Rate",
    "Resampling",
    "RocCurve",
    "Trials",
    "Verification",
    "leave_one_out",
    "megaface_style",
    "probe_gallery",
    "rank_1_gain",
    "roc_curve",
    "verification",
]
