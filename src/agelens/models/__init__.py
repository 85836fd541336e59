"""Chips to outputs: backbones, losses, methods, and the network that joins them (torch).

>>> from agelens.models import DLDLv2, list_methods
>>> DLDLv2(sigma=2.5).name  # doctest: +SKIP
'dldl-v2'

Every method class is here by its name; each is loaded on first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from agelens.lazy import attach
from agelens.models.methods import METHODS as METHODS

if TYPE_CHECKING:
    from agelens.models.age_model import AgeModel as AgeModel
    from agelens.models.backbones import BACKBONES as BACKBONES
    from agelens.models.backbones import Backbone as Backbone
    from agelens.models.backbones import build_backbone as build_backbone
    from agelens.models.backbones import list_backbones as list_backbones
    from agelens.models.methods import list_methods as list_methods
    from agelens.models.methods import method_class as method_class
    from agelens.models.methods.amr import AdaptiveMeanResidue as AdaptiveMeanResidue
    from agelens.models.methods.base import AgeClassification as AgeClassification
    from agelens.models.methods.base import AgeMethod as AgeMethod
    from agelens.models.methods.base import AgeTargets as AgeTargets
    from agelens.models.methods.base import Departure as Departure
    from agelens.models.methods.base import LearningHead as LearningHead
    from agelens.models.methods.base import SpreadHead as SpreadHead
    from agelens.models.methods.c3ae import C3AE as C3AE
    from agelens.models.methods.coral import CORAL as CORAL
    from agelens.models.methods.corn import CORN as CORN
    from agelens.models.methods.dex import DEX as DEX
    from agelens.models.methods.dldl import DLDL as DLDL
    from agelens.models.methods.dldl import DLDLv2 as DLDLv2
    from agelens.models.methods.drf import DeepRegressionForest as DeepRegressionForest
    from agelens.models.methods.mean_variance import MeanVariance as MeanVariance
    from agelens.models.methods.or_cnn import ORCNN as ORCNN
    from agelens.models.methods.rapl import RAPL as RAPL
    from agelens.models.methods.regression import GaussianRegression as GaussianRegression
    from agelens.models.methods.regression import HuberRegression as HuberRegression
    from agelens.models.methods.regression import L1Regression as L1Regression
    from agelens.models.methods.regression import L2Regression as L2Regression
    from agelens.models.methods.sord import SORD as SORD
    from agelens.models.methods.ssr_net import SSRNet as SSRNet
    from agelens.models.methods.unimodal import UnimodalConcentrated as UnimodalConcentrated

_BASE = "agelens.models.methods.base"
_HOMES = {
    **{name: module for module, _, name in (path.partition(":") for path in METHODS.values())},
    "AgeMethod": _BASE,
    "AgeTargets": _BASE,
    "Departure": _BASE,
    "LearningHead": _BASE,
    "SpreadHead": _BASE,
    "AgeClassification": "agelens.models.methods.base",
    "METHODS": "agelens.models.methods",
    "list_methods": "agelens.models.methods",
    "method_class": "agelens.models.methods",
    "AgeModel": "agelens.models.age_model",
    "BACKBONES": "agelens.models.backbones",
    "Backbone": "agelens.models.backbones",
    "build_backbone": "agelens.models.backbones",
    "list_backbones": "agelens.models.backbones",
}

__getattr__, __dir__, __all__ = attach(__name__, _HOMES)
