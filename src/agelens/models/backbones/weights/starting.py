"""Start a backbone from weights, or refuse and leave it as it was."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Final

from torch import Tensor

from agelens.errors import CardError, UnknownNameError, UsageError
from agelens.models.backbones.base import Backbone
from agelens.models.backbones.weights.files import (
    REFUSED,
    SUFFIXES,
    KeyLine,
    KeyReport,
    flush_subnormals,
    match_keys,
    read_tensors,
)
from agelens.models.backbones.weights.packaged import PACKAGED
from agelens.models.backbones.weights.tfjs import SUFFIX as TFJS
from agelens.models.backbones.weights.tfjs import read_tfjs

STARTS: Final = ("random", "packaged", "timm")
"""The words for starting weights; anything else is a file."""
_LISTED: Final = 8
"""So many keys of each fate stand in an error."""


def load_starting_weights(
    backbone: Backbone, weights: str | Path, *, partial: bool = False
) -> KeyReport:
    """Fill `backbone` from `weights`; see `build_backbone` for the arguments and errors.

    Where anything is refused, `backbone` keeps the weights that it had. Subnormal weights are
    set to zero.
    """
    if isinstance(weights, Path) or weights not in STARTS:
        return _from_file(backbone, weights, partial)
    if weights == "packaged":
        return _from_package(backbone)
    if weights == "timm":
        timm_backbone = import_module("agelens.models.backbones.timm_backbone")
        tensors = timm_backbone.published_weights(backbone)
        return _load(backbone, "timm's weights", tensors)
    return KeyReport(backbone.name, "random numbers")


def _from_file(backbone: Backbone, weights: str | Path, partial: bool) -> KeyReport:
    path = Path(weights)
    if not isinstance(weights, Path) and not path.suffix and not path.exists():
        raise UnknownNameError(
            "starting point", weights, STARTS, f" A file ({', '.join(SUFFIXES)}) works too."
        )
    if path.suffix.lower() == TFJS:
        return _load(backbone, str(path), backbone.from_tfjs(read_tfjs(path)), partial=partial)
    return _load(backbone, str(path), read_tensors(path), partial=partial)


def _from_package(backbone: Backbone) -> KeyReport:
    name = backbone.name.partition(".")[0]  # without a tag of timm's
    if name not in PACKAGED:
        raise UsageError(
            f"no installed package ships weights of {backbone.name!r}; those with packaged "
            f"weights are {', '.join(PACKAGED)}"
        )
    packaged = PACKAGED[name]()
    report = _load(backbone, packaged.source, packaged.tensors, renamed=packaged.renamed)
    backbone.packaged_head = packaged.head
    return report


def _load(
    backbone: Backbone,
    source: str,
    tensors: Mapping[str, Tensor],
    *,
    renamed: Callable[[str], str] = str,
    partial: bool = False,
) -> KeyReport:
    matched = match_keys(tensors, backbone, renamed)
    report = KeyReport(backbone.name, source, matched.lines)
    refused = [line for line in report.of(*REFUSED) if not _permitted(line, backbone, partial)]
    if refused or not matched.tensors:
        raise CardError(_refusal(report, refused))
    backbone.load_state_dict(matched.tensors, strict=False)
    return KeyReport(backbone.name, source, matched.lines, flush_subnormals(backbone))


def _permitted(line: KeyLine, backbone: Backbone, partial: bool) -> bool:
    return partial and (line.fate == "unexpected" or line.name.startswith(backbone.stages[-1]))


def _refusal(report: KeyReport, refused: list[KeyLine]) -> str:
    shown = []
    for fate in dict.fromkeys(line.fate for line in refused):  # some of each, or one hides others
        lines = [line for line in refused if line.fate == fate]
        shown += [f"  {line}" for line in lines[:_LISTED]]
        if len(lines) > _LISTED:
            shown.append(f"  and {len(lines) - _LISTED} more {fate}")
    return "\n".join(
        (
            f"these weights do not fit. {report.summary}",
            *shown,
            "Give the backbone and the size that the weights are of; `partial: true` accepts "
            "weights whose last stage is absent or different, and leaves out keys that are not "
            "expected.",
        )
    )
