"""Heat maps by gradients, of networks that torch holds; `GRADIENT_METHODS` names them all.

What they give is what occlusion gives: `agelens.evaluation.heat_maps.heat_map.HeatMap`.
"""

from __future__ import annotations

from typing import Final

from agelens.models.attribution.class_activation import CAMS, ClassActivationExplainer
from agelens.models.attribution.integrated_gradients import IntegratedGradientsExplainer
from agelens.models.attribution.network import ExplainedNetwork

__all__ = [
    "CAMS",
    "GRADIENT_METHODS",
    "INTEGRATED_GRADIENTS",
    "ClassActivationExplainer",
    "ExplainedNetwork",
    "IntegratedGradientsExplainer",
]

INTEGRATED_GRADIENTS: Final = "integrated-gradients"
GRADIENT_METHODS: Final = (*CAMS, INTEGRATED_GRADIENTS)
