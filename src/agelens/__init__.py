"""agelens: how old a face looks, and how sure that is.

>>> from agelens import AgeEstimator
>>> AgeEstimator().estimate("party.jpg").faces[0].estimate_years  # doctest: +SKIP

Importing this package loads nothing heavy: each name below is fetched on first use.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from agelens.version import __version__

if TYPE_CHECKING:
    from agelens.errors import AgelensError
    from agelens.imaging.detectors import DETECTORS
    from agelens.inference.cards import MODELS, Card, load_card
    from agelens.inference.estimator import AgeEstimator
    from agelens.records import AgeEstimate, Chip, Face, Photo, PhotoResult, Quality

_HOME = {
    "AgelensError": "agelens.errors",
    "MODELS": "agelens.inference.cards",
    "Card": "agelens.inference.cards",
    "load_card": "agelens.inference.cards",
    "AgeEstimator": "agelens.inference.estimator",
    "DETECTORS": "agelens.imaging.detectors",
    "AgeEstimate": "agelens.records",
    "Chip": "agelens.records",
    "Face": "agelens.records",
    "Photo": "agelens.records",
    "PhotoResult": "agelens.records",
    "Quality": "agelens.records",
}

__all__ = [
    "DETECTORS",
    "MODELS",
    "AgeEstimate",
    "AgeEstimator",
    "AgelensError",
    "Card",
    "Chip",
    "Face",
    "Photo",
    "PhotoResult",
    "Quality",
    "__version__",
    "load_card",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'agelens' has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
