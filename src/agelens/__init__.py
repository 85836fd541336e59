"""agelens: how old a face looks, and how sure that is.

>>> from agelens import AgeEstimator
>>> AgeEstimator().estimate("party.jpg").faces[0].estimate_years  # doctest: +SKIP

Importing this package loads nothing heavy: each name below is fetched on first use.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from agelens.lazy import attach
from agelens.version import __version__ as __version__

if TYPE_CHECKING:
    from agelens.errors import AgelensError as AgelensError
    from agelens.imaging.detectors import DETECTORS as DETECTORS
    from agelens.inference.cards import MODELS as MODELS
    from agelens.inference.cards import Card as Card
    from agelens.inference.cards import load_card as load_card
    from agelens.inference.estimator import AgeEstimator as AgeEstimator
    from agelens.inference.results import PhotoResult as PhotoResult
    from agelens.records import AgeEstimate as AgeEstimate
    from agelens.records import Chip as Chip
    from agelens.records import Face as Face
    from agelens.records import Photo as Photo
    from agelens.records import Quality as Quality

# Before anything loads onnxruntime, which else sends what it runs to its makers, and keeps a
# number for this machine and files in the temporary folder. `agelens` sends nothing anywhere.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
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
        "PhotoResult": "agelens.inference.results",
        "Quality": "agelens.records",
        "__version__": "agelens.version",
    },
)
