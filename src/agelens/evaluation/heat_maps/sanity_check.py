"""The randomisation check: a map that explains a network changes with its weights.

Adebayo et al., Sanity Checks for Saliency Maps, NeurIPS 2018: some methods draw much the same
map for a network of no meaning, and so show the picture rather than the network.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import numpy as np

from agelens.evaluation.heat_maps.agreement import rank_correlation, structural_similarity
from agelens.evaluation.heat_maps.alikeness import Alikeness
from agelens.evaluation.heat_maps.explainer import Explainer
from agelens.records import RGB

SHARES: Final = (0.25, 0.5, 1.0)


def sanity_check(
    explain: Explainer, chips: Sequence[RGB], *, shares: Sequence[float] = SHARES, seed: int = 0
) -> list[Alikeness]:
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
            Alikeness(
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
