"""Heat maps: which places of a face an estimate hangs on.

What every method gives is a `HeatMap`; occlusion, which needs no gradients and so works for any
network, is here, and what needs torch is in `agelens.models.attribution`.
"""

from agelens.evaluation.heat_maps.heat_map import Explainer, HeatMap, per_patch
from agelens.evaluation.heat_maps.occlusion import (
    FILLS,
    OcclusionExplainer,
    Windows,
    filled,
    occlusion_map,
)

__all__ = [
    "FILLS",
    "Explainer",
    "HeatMap",
    "OcclusionExplainer",
    "Windows",
    "filled",
    "occlusion_map",
    "per_patch",
]
