"""The randomisation check: a map that explains a network changes with its weights.

Adebayo et al., Sanity Checks for Saliency Maps, NeurIPS 2018: some methods draw much the same
map for a network of no meaning, and so show the picture rather than the network.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from scipy.ndimage import gaussian_filter
from scipy.stats import spearmanr

from agelens.evaluation.heat_maps.heat_map import Explainer
from agelens.records import RGB, Floats
from agelens.version import __version__

ALIKE: Final = 0.5
"""Maps of a network of no meaning that correlate by more than this explain no network."""

ENOUGH: Final = 4
"""Faces; a coarse map has so few places that a single pair of them says little."""


@dataclass(frozen=True, slots=True)
class RandomizationResult:
    """How alike the maps of a network are before and after some of its layers are shuffled.

    `share` of the layers, from the answer back. Means over `maps` faces: `rank_correlation` of
    the values, `rank_correlation_absolute` without their signs, and
    `structural_similarity`. NaN where no pair of maps has one.
    """

    share: float
    maps: int
    rank_correlation: float
    rank_correlation_absolute: float
    structural_similarity: float

    def to_json(self) -> dict[str, Any]:
        """Plain JSON types; null for what is not defined."""
        return {
            name: None if math.isnan(value) else round(value, 4)
            for name in self.__slots__
            for value in [getattr(self, name)]
        }


def verdict(found: Sequence[RandomizationResult]) -> str:
    """What the last step, with the most layers shuffled, says of the method."""
    last = found[-1]
    if math.isnan(last.rank_correlation):
        return "no verdict: the maps of the shuffled network are the same everywhere"
    alike = max(last.rank_correlation, last.rank_correlation_absolute)
    shuffled = f"{100 * last.share:g} % of the layers shuffled"
    if alike > ALIKE:
        said = (
            f"FAILED: with {shuffled} the network still has much the same maps (rank correlation "
            f"{alike:.2f}): they show the picture, not what the network learnt"
        )
    else:
        said = (
            f"passed: the maps change with the weights (rank correlation {alike:.2f} with "
            f"{shuffled})"
        )
    if last.maps < ENOUGH:
        said += f". Coarse maps can be alike by chance: {ENOUGH} photos or more prove more"
    return said


NOT_TOLD: Final = (
    "A heat map says where this network's number comes from. It does not say whether the number is "
    "right, nor what makes a person old: a network that errs has maps as handsome.",
    "It depends on what hides a place and on how large the place is; another method draws another "
    "map. Places do not add up to the estimate where they act together, as two eyes do.",
    "It is no test of fairness: whether people of a group are estimated worse is measured by "
    "agelens evaluate, by group.",
)


@dataclass(frozen=True, slots=True, eq=False)
class ExplainedFaces:
    """What was explained: `faces` are JSON rows in order, `pictures` file names beside the page."""

    settings: Mapping[str, Any]
    faces: Sequence[Mapping[str, Any]]
    pictures: Sequence[str] = ()
    checked: Sequence[RandomizationResult] = ()

    def to_json(self) -> dict[str, Any]:
        """Plain JSON types."""
        document: dict[str, Any] = {**head(self.settings), "photos": list(self.faces)}
        if self.checked:
            document["sanity_check"] = {
                "steps": [step.to_json() for step in self.checked],
                "verdict": verdict(self.checked),
            }
        return document


def head(settings: Mapping[str, Any]) -> dict[str, Any]:
    """What every document begins with: version, settings, and what is not told."""
    return {"agelens_version": __version__, **settings, "not_told": list(NOT_TOLD)}


# Wang et al., Image Quality Assessment: From Error Visibility to Structural Similarity, TIP 2004.
_SIGMA_PX: Final = 1.5
_TRUNCATED: Final = 3.5
_EDGE_PX: Final = 5
_K1, _K2, _RANGE = 0.01, 0.03, 2.0


def rank_correlation(first: Floats, second: Floats) -> float:
    """Spearman's correlation of two maps [S, S]; NaN where one is the same everywhere."""
    if np.ptp(first) == 0 or np.ptp(second) == 0:
        return float("nan")
    return float(spearmanr(first.ravel(), second.ravel()).statistic)


def structural_similarity(first: Floats, second: Floats) -> float:
    """SSIM (Wang et al., TIP 2004) of two maps [S, S], each scaled to -1..1 by its extreme.

    Gaussian windows of 1.5 pixels; the 5 pixels at the border are left out of the mean. 1 for
    equal maps, about 0 for unlike ones; NaN where a map is zero everywhere.
    """
    if not (np.any(first) and np.any(second)):
        return float("nan")
    x, y = (values / np.abs(values).max() for values in (first, second))
    mean_x, mean_y, xx, yy, xy = (_windowed(values) for values in (x, y, x * x, y * y, x * y))
    c1, c2 = (_K1 * _RANGE) ** 2, (_K2 * _RANGE) ** 2
    mixed = (2 * mean_x * mean_y + c1) * (2 * (xy - mean_x * mean_y) + c2)
    own = (mean_x**2 + mean_y**2 + c1) * (xx - mean_x**2 + yy - mean_y**2 + c2)
    edge = min(_EDGE_PX, (min(first.shape) - 1) // 2)
    inner = slice(edge, -edge or None)
    return float((mixed / own)[inner, inner].mean())


def _windowed(values: Floats) -> Floats:
    return np.asarray(gaussian_filter(values, _SIGMA_PX, truncate=_TRUNCATED))


SHARES: Final = (0.25, 0.5, 1.0)


def sanity_check(
    explain: Explainer, chips: Sequence[RGB], *, shares: Sequence[float] = SHARES, seed: int = 0
) -> list[RandomizationResult]:
    """Maps of `chips` against those of the same network, shuffled ever further down.

    Args:
        explain: the method under test, on the network as it is.
        chips: at least one, uint8 [S, S, 3].
        shares: of the layers to shuffle, in (0, 1].
        seed: of the shuffling.
    """
    before = [explain(chip).values for chip in chips]
    found = []
    for share in shares:
        other = explain.with_shuffled_weights(share, seed)
        pairs = [(map_, other(chip).values) for map_, chip in zip(before, chips, strict=True)]
        found.append(
            RandomizationResult(
                share,
                len(pairs),
                _mean([rank_correlation(a, b) for a, b in pairs]),
                _mean([rank_correlation(np.abs(a), np.abs(b)) for a, b in pairs]),
                _mean([structural_similarity(a, b) for a, b in pairs]),
            )
        )
    return found


def _mean(values: Sequence[float]) -> float:
    defined = [value for value in values if not math.isnan(value)]
    return float(np.mean(defined)) if defined else float("nan")
