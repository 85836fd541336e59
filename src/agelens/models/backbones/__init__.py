"""Backbones: our own, one file each, and every network of timm by its name there.

The registry holds import paths, so that one backbone's file is all that using it loads.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any, Final, NamedTuple

import pandas as pd

from agelens.errors import UnknownNameError, UsageError
from agelens.models.backbones import base
from agelens.models.backbones.base import Backbone, RGBNumbers
from agelens.models.backbones.weights import KeyReport, flush_subnormals, load_starting_weights
from agelens.models.methods import first_line, loaded_class
from agelens.recorded import imported

__all__ = [
    "BACKBONES",
    "Backbone",
    "BuiltBackbone",
    "KeyReport",
    "RGBNumbers",
    "build_backbone",
    "flush_subnormals",
    "is_import_path",
    "list_backbones",
]

BACKBONES: Final[dict[str, str]] = {
    "iresnet18": "agelens.models.backbones.iresnet:IResNet18",
    "iresnet34": "agelens.models.backbones.iresnet:IResNet34",
    "iresnet50": "agelens.models.backbones.iresnet:IResNet50",
    "iresnet100": "agelens.models.backbones.iresnet:IResNet100",
    "iresnet200": "agelens.models.backbones.iresnet:IResNet200",
    "ir50": "agelens.models.backbones.ir50:IR50",
    "thinagenet": "agelens.models.backbones.thin_age_net:ThinAgeNet",
    "tinyagenet": "agelens.models.backbones.thin_age_net:TinyAgeNet",
    "ssr-net": "agelens.models.backbones.ssr_net:SSRNetBackbone",
    "c3ae": "agelens.models.backbones.c3ae:C3AEBackbone",
    "dlib-resnet10": "agelens.models.backbones.dlib_resnet10:DlibResNet10",
    "mobilenet-face": "agelens.models.backbones.mobilenet_face:MobileNetFace",
}
_TIMM: Final = "agelens.models.backbones.timm_backbone"


class BuiltBackbone(NamedTuple):
    """A backbone, and what became of every key of the weights that it starts from."""

    backbone: Backbone
    report: KeyReport


def build_backbone(
    name: str,
    *,
    weights: str | Path = "random",
    size: int | None = None,
    partial: bool = False,
    fold_batch_norm: bool = False,
    **options: Any,
) -> BuiltBackbone:
    """The backbone called `name`, started from `weights`.

    Args:
        name: one of `BACKBONES`, a name of timm's (``resnet50``, ``resnet50.a1_in1k``), or the
            import path of a `Backbone` of your own.
        weights: ``random``; ``packaged`` for those that an installed package ships; ``timm`` for
            timm's own, which come over the network; or a file (.safetensors, .pt, .pth, .ckpt,
            and .json for the graph of ``mobilenet-face``).
        size: side of the chips in pixels; the backbone's own when None.
        partial: accept weights that lack the last stage, or have it in another shape, and
            leave out keys that are not the backbone's. The report tells of each.
        fold_batch_norm: once the weights are there, make each batch norm part of the
            convolution before it; see `agelens.models.backbones.base`.
        options: further arguments of the backbone's class.

    Raises:
        UnknownNameError: neither we nor timm have that name, or `weights` is none of the above.
        UsageError: a size or an option that this backbone cannot have, or a kind of weights.
        CardError: the weights are absent, unsafe to read, or do not fit.
        MissingDependencyError: the package with the packaged weights is not installed.
    """
    backbone = _create(name, {"size": size, **options} if size is not None else options)
    report = load_starting_weights(backbone, weights, partial=partial)
    if fold_batch_norm:
        base.fold_batch_norm(backbone)
    return BuiltBackbone(backbone, report)


def list_backbones(timm: str = "") -> pd.DataFrame:
    """Our own backbones by `name`: the `class_name` and what it is.

    Args:
        timm: also list the networks of timm whose names match this pattern, such as
            ``resnet*``; every one of them works by its name.
    """
    rows = [
        {"name": name, "class_name": made.__name__, "what": first_line(made)}
        for name, made in ((name, loaded_class(path)) for name, path in BACKBONES.items())
    ]
    if timm:
        found = import_module("timm").list_models(timm)
        rows += [{"name": name, "class_name": "TimmBackbone", "what": "of timm"} for name in found]
    return pd.DataFrame(rows).set_index("name")


def _create(name: str, options: dict[str, Any]) -> Backbone:
    if name in BACKBONES:
        return _called(name, loaded_class(BACKBONES[name]), options)
    if is_import_path(name):
        return _called(name, _own_class(name), options)
    return _called(name, import_module(_TIMM).TimmBackbone, {"name": name, **options})


def is_import_path(name: str) -> bool:
    """Whether `name` names a class, as ``package.module.Class``; timm's names are lower case."""
    return name.rpartition(".")[2][:1].isupper()


def _own_class(path: str) -> type[Backbone]:
    found = imported(path)
    if not (isinstance(found, type) and issubclass(found, Backbone)):
        raise UnknownNameError(
            "backbone",
            path,
            BACKBONES,
            " A network of timm's works too, or the import path of a "
            "class that inherits from agelens.models.Backbone. What a notebook defines can be "
            "used in that notebook only: put the class in a file to use it elsewhere.",
        )
    return found


def _called(name: str, make: Callable[..., Backbone], options: dict[str, Any]) -> Backbone:
    signature = inspect.signature(make)
    try:
        signature.bind(**options)
    except TypeError as error:
        raise UsageError(
            f"backbone {name!r}: {error}; its options are {', '.join(signature.parameters)}"
        ) from None
    return make(**options)
