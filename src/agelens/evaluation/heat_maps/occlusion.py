"""Occlusion: hide each place in turn, and see by how many years the estimate changes.

Zeiler and Fergus, Visualizing and Understanding Convolutional Networks, ECCV 2014. It asks
nothing of a network but its answers.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Self, TypeAlias

import numpy as np
from numpy.typing import NDArray

from agelens.errors import UsageError
from agelens.evaluation.heat_maps.fills import filled
from agelens.evaluation.heat_maps.heat_map import HeatMap
from agelens.evaluation.heat_maps.shuffled_onnx import shuffled_estimator
from agelens.inference.estimator import AgeEstimator
from agelens.records import RGB, Floats

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
        """Raises UsageError where the model has no ONNX weights."""
        other = shuffled_estimator(self.estimator, share, seed)
        return type(self)(other, self.windows, self.fill)

    def _ages(self, chips: RGB) -> Floats:
        return np.array([one.age_years for one in self.estimator.estimate_chips(chips)])
