"""What happens beside the steps of training: averages, freezing, guards, curves."""

from agelens.training.callbacks.freezing import FrozenBatchNorm, StageFreezing
from agelens.training.callbacks.learning_curves import LearningCurves
from agelens.training.callbacks.nan_guard import NaNGuard
from agelens.training.callbacks.weight_ema import WeightEMA

__all__ = ["FrozenBatchNorm", "LearningCurves", "NaNGuard", "StageFreezing", "WeightEMA"]
