"""Integrated gradients: from a face that is hidden to the face, and where the years come in.

Sundararajan et al., Axiomatic Attribution for Deep Networks, ICML 2017; by captum.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from captum.attr import IntegratedGradients

from agelens.errors import UsageError
from agelens.evaluation.heat_maps.heat_map import HeatMap, per_patch
from agelens.evaluation.heat_maps.occlusion import filled
from agelens.models.attribution.network import ExplainedNetwork
from agelens.records import RGB

_BATCH = 32


@dataclass(frozen=True, slots=True, eq=False)
class IntegratedGradientsExplainer:
    """Maps whose years add up; see `agelens.evaluation.heat_maps.heat_map.Explainer`.

    All of a map's years together are the estimate minus that of the hidden face: `facts` has
    `baseline_estimate_years`, the latter, and `gap_years`, by how much the sum fails it. More steps
    make the gap smaller.

    Args:
        network: to explain.
        patch: that years are given for, in pixels of the chip.
        fill: what the hidden face is, of `FILLS`.
        steps: of the integral.

    Raises:
        UsageError: fewer than 2 steps.
    """

    network: ExplainedNetwork
    patch: int
    fill: str = "blur"
    steps: int = 32

    def __post_init__(self) -> None:
        if self.steps < 2:
            raise UsageError(f"an integral needs 2 steps or more, got {self.steps}")

    def __call__(self, chip: RGB) -> HeatMap:
        """The map of one aligned chip; raises UnknownNameError for a fill that does not exist."""
        age = self.network.age
        images = self.network.images(chip)
        baseline = self.network.images(filled(chip, self.fill))
        # Each place's share is of a change of pixels, so that colours add up.
        years = IntegratedGradients(age).attribute(
            images, baseline, n_steps=self.steps, internal_batch_size=_BATCH
        )
        places = years.detach().double().sum(1)[0].numpy()
        stated, hidden = (float(age(each).detach()) for each in (images, baseline))
        facts = {
            "baseline_estimate_years": hidden,
            "gap_years": float(places.sum()) - (stated - hidden),
        }
        density = self.network.onto_chip(np.ascontiguousarray(places), len(chip))
        values = per_patch(density, self.patch)
        return HeatMap(values, "years", "integrated-gradients", self.patch, stated, facts)

    def with_shuffled_weights(self, share: float, seed: int) -> Self:
        """See `Explainer`."""
        return type(self)(self.network.shuffled(share, seed), self.patch, self.fill, self.steps)
