"""What happens beside the steps of training: averages, freezing, guards, curves.

`CALLBACKS` names those that a configuration may add; guards and curves come with every run.
"""

from typing import Final

from agelens.training.callbacks.freezing import FrozenBatchNorm, StageFreezing
from agelens.training.callbacks.learning_curves import LearningCurves
from agelens.training.callbacks.measured_batch_norm import MeasuredBatchNorm
from agelens.training.callbacks.mixup import Mixup
from agelens.training.callbacks.nan_guard import NaNGuard
from agelens.training.callbacks.weight_ema import WeightEMA

__all__ = [
    "CALLBACKS",
    "FrozenBatchNorm",
    "LearningCurves",
    "MeasuredBatchNorm",
    "Mixup",
    "NaNGuard",
    "StageFreezing",
    "WeightEMA",
]

CALLBACKS: Final[dict[str, str]] = {
    "FrozenBatchNorm": "agelens.training.callbacks.freezing:FrozenBatchNorm",
    "MeasuredBatchNorm": "agelens.training.callbacks.measured_batch_norm:MeasuredBatchNorm",
    "Mixup": "agelens.training.callbacks.mixup:Mixup",
    "StageFreezing": "agelens.training.callbacks.freezing:StageFreezing",
    "WeightEMA": "agelens.training.callbacks.weight_ema:WeightEMA",
}
