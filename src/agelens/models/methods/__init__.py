"""Age methods, one file a paper; `METHODS` names them all.

The registry holds import paths, so that one method's file is all that using it loads.
"""

from __future__ import annotations

from importlib import import_module
from typing import Final

from agelens.errors import UnknownNameError
from agelens.models.methods.base import AgeMethod, AgeTargets, LearningHead, SpreadHead

__all__ = ["METHODS", "AgeMethod", "AgeTargets", "LearningHead", "SpreadHead", "method_class"]

METHODS: Final[dict[str, str]] = {
    "l1": "agelens.models.methods.regression:L1Regression",
    "l2": "agelens.models.methods.regression:L2Regression",
    "huber": "agelens.models.methods.regression:HuberRegression",
    "gaussian": "agelens.models.methods.regression:GaussianRegression",
    "dex": "agelens.models.methods.dex:DEX",
    "dldl": "agelens.models.methods.dldl:DLDL",
    "dldl-v2": "agelens.models.methods.dldl_v2:DLDLv2",
    "mean-variance": "agelens.models.methods.mean_variance:MeanVariance",
    "sord": "agelens.models.methods.sord:SORD",
    "or-cnn": "agelens.models.methods.or_cnn:ORCNN",
    "coral": "agelens.models.methods.coral:CORAL",
    "corn": "agelens.models.methods.corn:CORN",
    "unimodal-concentrated": "agelens.models.methods.unimodal:UnimodalConcentrated",
    "amr": "agelens.models.methods.amr:AdaptiveMeanResidue",
    "drf": "agelens.models.methods.drf:DeepRegressionForest",
    "rapl": "agelens.models.methods.rapl:RAPL",
    "ssr-net": "agelens.models.methods.ssr_net:SSRNet",
    "c3ae": "agelens.models.methods.c3ae:C3AE",
}


def method_class(name: str) -> type[AgeMethod]:
    """The method class called `name`.

    Raises:
        UnknownNameError: no method has that name; the message lists those that exist.
    """
    if name not in METHODS:
        raise UnknownNameError("method", name, METHODS)
    module, _, attribute = METHODS[name].partition(":")
    loaded: type[AgeMethod] = getattr(import_module(module), attribute)
    return loaded
