"""Face detectors behind one protocol; `DETECTORS` names them all.

The registry holds import paths, not classes, so that listing detectors or using one
does not load the libraries of the others.
"""

from __future__ import annotations

from importlib import import_module
from typing import Final

from agelens.errors import UnknownNameError
from agelens.imaging.detectors.base import DEFAULT_LONGEST_SIDE, Detections, Detector

__all__ = ["DEFAULT_LONGEST_SIDE", "DETECTORS", "Detections", "Detector", "detector_class"]

DETECTORS: Final[dict[str, str]] = {
    "retinaface": "agelens.imaging.detectors.retinaface:RetinaFace",
    "mtcnn": "agelens.imaging.detectors.mtcnn:MTCNN",
    "dlib": "agelens.imaging.detectors.dlib:DlibHOG",
}


def detector_class(name: str) -> type[Detector]:
    """The detector class called `name`.

    Raises:
        UnknownNameError: no detector has that name; the message lists those that exist.
    """
    if name not in DETECTORS:
        raise UnknownNameError("detector", name, DETECTORS)
    module, _, attribute = DETECTORS[name].partition(":")
    loaded: type[Detector] = getattr(import_module(module), attribute)
    return loaded
