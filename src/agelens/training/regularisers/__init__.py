"""What is added to a method's loss: against forgetting, and for answers that keep still.

`REGULARISERS` names them all, as configurations do.
"""

from typing import Final

from agelens.training.regularisers.base import Regulariser
from agelens.training.regularisers.consistency import Consistency
from agelens.training.regularisers.distillation import Distillation
from agelens.training.regularisers.feature_distance import FeatureDistance
from agelens.training.regularisers.l2_sp import L2SP
from agelens.training.regularisers.teachers import ModelTeacher, PackagedTeacher, Teacher

__all__ = [
    "L2SP",
    "REGULARISERS",
    "Consistency",
    "Distillation",
    "FeatureDistance",
    "ModelTeacher",
    "PackagedTeacher",
    "Regulariser",
    "Teacher",
]

REGULARISERS: Final[dict[str, str]] = {
    "L2SP": "agelens.training.regularisers.l2_sp:L2SP",
    "Distillation": "agelens.training.regularisers.distillation:Distillation",
    "Consistency": "agelens.training.regularisers.consistency:Consistency",
    "FeatureDistance": "agelens.training.regularisers.feature_distance:FeatureDistance",
}
