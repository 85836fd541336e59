"""Occlusion: hide each place in turn, and see by how many years the estimate changes.

Zeiler and Fergus, Visualizing and Understanding Convolutional Networks, ECCV 2014. It asks
nothing of a network but its answers.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final, Self, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray
from onnx import numpy_helper

from agelens.errors import UnknownNameError, UsageError
from agelens.evaluation.heat_maps.heat_map import HeatMap
from agelens.inference.cards import CARD_FILE
from agelens.inference.estimator import AgeEstimator
from agelens.records import RGB, Floats
from agelens.sessions import read_onnx

_FIXED: Final = "fitting."
"""Names of weights that only resize chips begin so, in what agelens exports."""


def shuffled_estimator(estimator: AgeEstimator, share: float, seed: int) -> AgeEstimator:
    """An estimator like `estimator`, with the weights of some layers shuffled.

    Args:
        estimator: of a model.
        share: of the layers, counted from the answer back to the chip, in (0, 1].
        seed: of the shuffling.
    """
    card = estimator.card
    content = shuffled_onnx(card.read_weights(), share, seed)
    document = dict(card.document)
    document["weights"] = {"path": "model.onnx", "sha256": hashlib.sha256(content).hexdigest()}
    with TemporaryDirectory(prefix="agelens-") as folder:
        (Path(folder) / "model.onnx").write_bytes(content)
        (Path(folder) / CARD_FILE).write_text(json.dumps(document), encoding="utf-8")
        return AgeEstimator(folder, estimator.detector, workers=estimator.workers)


def shuffled_onnx(content: bytes, share: float, seed: int) -> bytes:
    """The network in `content`, the weights of the layers nearest its answer shuffled.

    Args:
        content: a self-contained ONNX file.
        share: of the layers, in (0, 1].
        seed: of the shuffling.
    """
    model = read_onnx(content, name="the network")
    weights = {w.name: w for w in model.graph.initializer if math.prod(w.dims) > 1}
    used = [name for node in model.graph.node for name in node.input if name in weights]
    layers = [
        weights[name]
        for name in dict.fromkeys(reversed(used))
        if len(weights[name].dims) >= 2 and not name.startswith(_FIXED)
    ]
    random = np.random.default_rng(seed)
    for layer in layers[: math.ceil(share * len(layers))]:
        values = numpy_helper.to_array(layer)
        shuffled = random.permutation(values.ravel()).reshape(values.shape)
        layer.CopyFrom(numpy_helper.from_array(shuffled, layer.name))
    return bytes(model.SerializeToString())


_BLUR_SHARE: Final = 1 / 12  # of the chip's side: wrinkles go, eyes become shadows


def _mean(chip: RGB) -> RGB:
    colour = np.round(chip.mean(axis=(0, 1)))
    return np.broadcast_to(colour, chip.shape).astype(np.uint8)


def _blur(chip: RGB) -> RGB:
    return np.asarray(cv2.GaussianBlur(chip, (0, 0), len(chip) * _BLUR_SHARE), dtype=np.uint8)


FILLS: Final[dict[str, Callable[[RGB], RGB]]] = {"mean": _mean, "blur": _blur}
"""``mean`` is the chip's mean colour, which has edges; ``blur`` the chip out of focus, which
hides what is fine and leaves what is large."""


def filled(chip: RGB, fill: str) -> RGB:
    """`chip` [S, S, 3] with all of it hidden.

    Raises:
        UnknownNameError: `fill` is none of `FILLS`.
    """
    if fill not in FILLS:
        raise UnknownNameError("fill", fill, FILLS)
    return FILLS[fill](chip)


METHOD: Final = "occlusion"
_PATCHES_A_SIDE: Final = 8
_CHIPS_AT_A_TIME: Final = 256

AgesOf: TypeAlias = Callable[[RGB], Floats]
"""Estimated ages [N] in years of chips uint8 [N, S, S, 3]."""


@dataclass(frozen=True, slots=True)
class Windows:
    """Squares of `patch` pixels, `stride` apart, that together cover a chip of `side` pixels.

    The last of a row lies at the border, whether or not a stride ends there.

    Args:
        side: of the chip.
        patch: an eighth of the chip unless given: about an eye.
        stride: half of the patch unless given.

    Raises:
        UsageError: a patch that is not smaller than the chip, or a stride that leaves gaps.
    """

    side: int
    patch: int
    stride: int

    @classmethod
    def over(cls, side: int, patch: int | None = None, stride: int | None = None) -> Self:
        """With the defaults where None is given; raises as the class does."""
        patch = max(2, side // _PATCHES_A_SIDE) if patch is None else patch
        return cls(side, patch, max(1, patch // 2) if stride is None else stride)

    def __post_init__(self) -> None:
        if not 1 <= self.patch < self.side:
            raise UsageError(
                f"a patch has 1 to {self.side - 1} pixels of chips of {self.side}, got {self.patch}"
            )
        if not 1 <= self.stride <= self.patch:
            raise UsageError(
                f"a stride of 1 to {self.patch} pixels leaves no gaps between patches of "
                f"{self.patch}, got {self.stride}"
            )

    @property
    def corners(self) -> NDArray[np.int64]:
        """Left and top [N, 2] of each window, row by row."""
        last = self.side - self.patch
        starts = np.unique([*range(0, last, self.stride), last])
        top, left = np.meshgrid(starts, starts, indexing="ij")
        return np.stack([left.ravel(), top.ravel()], axis=1)


def occlusion_map(ages_of: AgesOf, chip: RGB, windows: Windows, fill: str = "mean") -> HeatMap:
    """The map of one chip: estimate minus estimate with the place hidden, in years.

    Each pixel has the mean over the windows that hide it. Hiding what makes a face look
    older lowers the estimate, so that its value is above zero.

    Args:
        ages_of: the network.
        chip: uint8 [S, S, 3].
        windows: what to hide.
        fill: of `FILLS`, what hides it.

    Raises:
        UnknownNameError: no such fill.
    """
    hidden = filled(chip, fill)
    corners = windows.corners
    (age,) = ages_of(chip[None])
    total, times = np.zeros(chip.shape[:2]), np.zeros(chip.shape[:2])
    for start in range(0, len(corners), _CHIPS_AT_A_TIME):
        block = corners[start : start + _CHIPS_AT_A_TIME]
        spoilt = np.repeat(chip[None], len(block), axis=0)
        places = [_place(corner, windows.patch) for corner in block]
        for one, place in zip(spoilt, places, strict=True):
            one[place] = hidden[place]
        for place, added in zip(places, age - ages_of(spoilt), strict=True):
            total[place] += added
            times[place] += 1
    return HeatMap(total / times, "years", METHOD, windows.patch, float(age))


def _place(corner: NDArray[np.int64], patch: int) -> tuple[slice, slice]:
    left, top = map(int, corner)
    return slice(top, top + patch), slice(left, left + patch)


@dataclass(frozen=True, slots=True)
class OcclusionExplainer:
    """Occlusion maps of an estimator's model; see `Explainer`.

    The ages are those that the estimator states, with its card's bias correction if it has one.
    """

    estimator: AgeEstimator
    windows: Windows
    fill: str = "mean"

    def __call__(self, chip: RGB) -> HeatMap:
        """The map of one aligned chip."""
        return occlusion_map(self._ages, chip, self.windows, self.fill)

    def with_shuffled_weights(self, share: float, seed: int) -> Self:
        """The same maps of a model whose weights are shuffled."""
        other = shuffled_estimator(self.estimator, share, seed)
        return type(self)(other, self.windows, self.fill)

    def _ages(self, chips: RGB) -> Floats:
        return np.array([one.estimate_years for one in self.estimator.estimate_chips(chips)])
