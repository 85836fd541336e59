"""Age methods, one file a paper; `METHODS` names them all.

The registry holds import paths, so that one method's file is all that using it loads.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from agelens.errors import UnknownNameError

if TYPE_CHECKING:
    import pandas as pd

    from agelens.models.methods.base import AgeMethod

METHODS: Final[dict[str, str]] = {
    "l1": "agelens.models.methods.regression:L1Regression",
    "l2": "agelens.models.methods.regression:L2Regression",
    "huber": "agelens.models.methods.regression:HuberRegression",
    "gaussian": "agelens.models.methods.regression:GaussianRegression",
    "dex": "agelens.models.methods.dex:DEX",
    "dldl": "agelens.models.methods.dldl:DLDL",
    "dldl-v2": "agelens.models.methods.dldl:DLDLv2",
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
    loaded: type[AgeMethod] = loaded_class(METHODS[name])
    return loaded


def list_methods() -> pd.DataFrame:
    """The methods by `name`: the `class_name` to import, what it does, its `paper`."""
    import pandas as pd  # noqa: PLC0415 - naming a method needs no tables

    rows = [{"name": name, **_listed(path)} for name, path in METHODS.items()]
    return pd.DataFrame(rows).set_index("name")


def loaded_class(path: str) -> Any:
    """The class that a registry has as ``package.module:Class``."""
    module, _, attribute = path.partition(":")
    return getattr(import_module(module), attribute)


def first_line(named: Any) -> str:
    """The first line of a docstring."""
    return (named.__doc__ or "").strip().partition("\n")[0]


def _listed(path: str) -> dict[str, str]:
    method = loaded_class(path)
    return {"class_name": method.__name__, "what": first_line(method), "paper": method.paper}
