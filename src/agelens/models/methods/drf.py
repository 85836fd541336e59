"""Deep regression forests: soft trees whose leaves are normal distributions of age."""

from __future__ import annotations

from typing import ClassVar, Literal, TypeAlias

import numpy as np
import torch
from torch import Tensor, nn

from agelens.inference.answers import AnswerSpec
from agelens.models.losses.forest import Leaves, log_likelihood
from agelens.models.methods.age_clusters import age_clusters
from agelens.models.methods.base import AgeMethod, AgeTargets
from agelens.models.methods.forest_head import ForestHead, ForestOutputs
from agelens.models.methods.option_checks import above_zero

Criterion: TypeAlias = Literal["likelihood", "squared-error"]


class DeepRegressionForest(AgeMethod):
    """Leaves and network in turns: leaves by expectation maximisation, the network by gradients.

    Args:
        ages: the range of ages, over which leaves are spread before training ages are seen.
        trees: T.
        depth: levels of a tree, leaves included: 6 has 32 leaves and 31 split nodes.
        units: features that split nodes choose from, each node of a tree another one.
        leaf_every: mini-batches between updates of the leaves, on the samples of those.
        leaf_iterations: steps of an update.
        least_variance: of a leaf, in square years; without a floor, a leaf that holds one age
            only has infinite density there.
        criterion: of the network: the ``likelihood`` of the paper, or ``squared-error``,
            half of it summed over trees.
        seed: of which node looks at which unit.

    Raises:
        ValueError: `ages` is no age scale, `criterion` is no such word, a number is too
            small, or a tree has more split nodes than there are units.
    """

    name: ClassVar[str] = "drf"
    paper: ClassVar[str] = "Shen et al., Deep Regression Forests for Age Estimation, CVPR 2018"
    departures: ClassVar[tuple[str, ...]] = (
        "the released Caffe layer trains the network by half the squared error of each tree, "
        "not by the paper's likelihood; criterion: squared-error does as it does",
        "the released layer moves a leaf that no sample reaches to age 0",
    )

    def __init__(
        self,
        ages: str = "0-100",
        *,
        trees: int = 5,
        depth: int = 6,
        units: int = 128,
        leaf_every: int = 50,
        leaf_iterations: int = 20,
        least_variance: float = 1.0,
        criterion: Criterion = "likelihood",
        seed: int = 0,
    ) -> None:
        super().__init__(ages)
        if criterion not in ("likelihood", "squared-error"):
            raise ValueError(f"criterion must be likelihood or squared-error, got {criterion!r}")
        above_zero(trees=trees, leaf_every=leaf_every, leaf_iterations=leaf_iterations)
        above_zero(least_variance=least_variance, split_levels=depth - 1)
        self.leaves = 2 ** (depth - 1)
        if self.leaves - 1 > units:
            raise ValueError(
                f"a tree of depth {depth} has {self.leaves - 1} split nodes and needs as many "
                f"units, got {units}"
            )
        self.trees, self.units, self.seed, self.criterion = trees, units, seed, criterion
        self.leaf_every, self.leaf_iterations = leaf_every, leaf_iterations
        self.least_variance = least_variance
        spread = (self.scale.years[-1] - self.scale.years[0]) / self.leaves
        centres = self.scale.years[0] + spread * (np.arange(self.leaves) + 0.5)
        self._start = centres, np.full(self.leaves, max(spread**2, least_variance))

    @property
    def spec(self) -> AnswerSpec:
        """Mean and standard deviation."""
        return AnswerSpec(self.scale, "mean-spread")

    def see_ages(self, age_years: Tensor) -> None:
        """Start the leaves at the k-means of the training ages [N]."""
        ages = age_years.double().cpu().numpy()
        centres, variances = age_clusters(ages, self.leaves)
        self._start = centres, np.maximum(variances, self.least_variance)

    def head(self, features: int) -> nn.Module:
        """A `ForestHead`; all trees start with the same leaves."""
        chance = torch.Generator().manual_seed(self.seed)
        chosen = [torch.randperm(self.units, generator=chance) for _ in range(self.trees)]
        routing = torch.stack(chosen)[:, : self.leaves - 1].contiguous()
        start = [torch.from_numpy(each).float().repeat(self.trees, 1) for each in self._start]
        return ForestHead(
            features,
            self.units,
            routing,
            Leaves(*start),
            leaf_every=self.leaf_every,
            leaf_iterations=self.leaf_iterations,
            least_variance=self.least_variance,
        )

    def loss(self, outputs: ForestOutputs, targets: AgeTargets) -> Tensor:
        """Mean over batch and trees of -log p(age), or as `criterion` says."""
        ages = targets.age_years.to(outputs.routes)
        if self.criterion == "likelihood":
            return -log_likelihood(outputs.routes, ages, outputs.leaves).mean()
        means = (outputs.routes.exp() * outputs.leaf_mean).sum(dim=2)
        return 0.5 * ((ages[:, None] - means) ** 2).sum(dim=1).mean()

    def posterior(self, outputs: ForestOutputs) -> Tensor:
        """Mean and standard deviation [B, 2] of the mixture of all leaves of all trees."""
        shares = outputs.routes.exp() / outputs.routes.shape[1]
        mean = (shares * outputs.leaf_mean).sum(dim=(1, 2))
        apart = outputs.leaf_mean - mean[:, None, None]
        variance = (shares * (outputs.leaf_variance + apart**2)).sum(dim=(1, 2))
        return torch.stack([mean, variance.sqrt()], dim=1)
