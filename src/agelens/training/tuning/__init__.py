"""From a configuration to good values for it, in steps that can be looked at."""

from agelens.training.tuning.space import Space, TuningPlan, parse_space
from agelens.training.tuning.tune import tune

__all__ = ["Space", "TuningPlan", "parse_space", "tune"]
