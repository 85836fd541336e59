"""Training: any method, any backbone, any dataset, one trainer (Lightning's).

>>> from agelens.data import AgeData
>>> from agelens.models import DLDLv2
>>> from agelens.training import Engine
>>> run = Engine("runs/x", max_epochs=10).fit(DLDLv2(), AgeData("store"))  # doctest: +SKIP

Objects in, a run folder out; `agelens.training.configuration` makes the objects from a
configuration file, whose schema is their constructors.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from agelens.lazy import attach

if TYPE_CHECKING:
    from agelens.training.callbacks import FrozenBatchNorm as FrozenBatchNorm
    from agelens.training.callbacks import StageFreezing as StageFreezing
    from agelens.training.callbacks import WeightEMA as WeightEMA
    from agelens.training.engine import Engine as Engine
    from agelens.training.epoch_metrics import Selection as Selection
    from agelens.training.model_parts import AuxiliaryChoice as AuxiliaryChoice
    from agelens.training.model_parts import BackboneChoice as BackboneChoice
    from agelens.training.optimizers import SGD as SGD
    from agelens.training.optimizers import Adam as Adam
    from agelens.training.optimizers import AdamW as AdamW
    from agelens.training.optimizers import Constant as Constant
    from agelens.training.optimizers import Cosine as Cosine
    from agelens.training.optimizers import MultiStep as MultiStep
    from agelens.training.optimizers import OneCycle as OneCycle
    from agelens.training.optimizers import OptimizerChoice as OptimizerChoice
    from agelens.training.optimizers import Plateau as Plateau
    from agelens.training.optimizers import Schedule as Schedule
    from agelens.training.optimizers import Step as Step
    from agelens.training.regularisers import L2SP as L2SP
    from agelens.training.regularisers import Consistency as Consistency
    from agelens.training.regularisers import Distillation as Distillation
    from agelens.training.regularisers import FeatureDistance as FeatureDistance
    from agelens.training.regularisers import Regulariser as Regulariser
    from agelens.training.run import Run as Run
    from agelens.training.run import load_run as load_run
    from agelens.training.run_options import CheckpointTimes as CheckpointTimes

_NAMES = {
    "engine": ("Engine",),
    "run": ("Run", "load_run"),
    "optimizers": (
        *("SGD", "Adam", "AdamW", "OptimizerChoice"),
        *("Constant", "Cosine", "MultiStep", "OneCycle", "Plateau", "Schedule", "Step"),
    ),
    "epoch_metrics": ("Selection",),
    "run_options": ("CheckpointTimes",),
    "model_parts": ("AuxiliaryChoice", "BackboneChoice"),
    "callbacks": ("FrozenBatchNorm", "StageFreezing", "WeightEMA"),
    "regularisers": ("Consistency", "Distillation", "FeatureDistance", "L2SP", "Regulariser"),
}

__getattr__, __dir__, __all__ = attach(
    __name__, {name: f"{__name__}.{home}" for home, names in _NAMES.items() for name in names}
)
