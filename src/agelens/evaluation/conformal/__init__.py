"""From labelled predictions to calibrated intervals: what a card's calibration is made of.

Split-conformal prediction, by mapie. Corrections may differ by bin of the estimated age, by bin
of the true one (Mondrian: Vovk et al., 2005) and by group. A promise made so holds on average
over each bin and group of people like those in the table.
"""

from __future__ import annotations

from agelens.evaluation.conformal.fitting import SMALLEST_BIN, Labelled, Way, correct_bias
from agelens.evaluation.conformal.levels import (
    CalibratedLevel,
    calibrate_intervals,
    calibrate_level,
    covers,
)

__all__ = [
    "SMALLEST_BIN",
    "CalibratedLevel",
    "Labelled",
    "Way",
    "calibrate_intervals",
    "calibrate_level",
    "correct_bias",
    "covers",
]
