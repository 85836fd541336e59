"""dlib's face recognition network, the default extractor: in the package, and free of rights."""

from __future__ import annotations

from typing import ClassVar

from agelens.imaging.align import Aligner
from agelens.imaging.detectors.base import Detector
from agelens.recognition.extractors.dlib_chips import DlibFivePoints
from agelens.recognition.extractors.network import NetworkExtractor
from agelens.recognition.extractors.resnet29_graph import resnet29_onnx


class DlibResNet29(NetworkExtractor):
    """ResNet-29 of dlib-models (King, CC0): 128 numbers for a chip of 150 pixels.

    The vectors are those of `dlib.face_recognition_model_v1`, scaled to length 1: dlib itself
    compares distances of vectors as they come.
    """

    weights_suffix: ClassVar[str] = ".dat"

    def aligner(self, detector: Detector) -> Aligner:  # noqa: ARG002 - any detector's faces will do
        """Cuts chips as dlib does, by its own five points."""
        return DlibFivePoints()

    def _onnx(self, content: bytes) -> bytes:
        return resnet29_onnx(content)
