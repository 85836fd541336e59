"""Deep regression forests: soft trees whose leaves are normal distributions of age."""

from __future__ import annotations

import math
from typing import ClassVar, Literal, NamedTuple, TypeAlias

import numpy as np
import torch
from scipy.cluster.vq import kmeans, vq
from torch import Tensor, nn
from torch.nn import functional

from agelens.inference.answers import OutputSpec
from agelens.models.losses import at_least_float32
from agelens.models.methods.base import AgeMethod, AgeTargets, Departure, LearningHead, above_zero
from agelens.records import Floats


class Leaves(NamedTuple):
    """A normal distribution a leaf: `mean` in years, `variance`; [T, L], or [N, T, L] repeated."""

    mean: Tensor
    variance: Tensor


def log_routes(decisions: Tensor, turns: int) -> Tensor:
    """Log probability [N, T, L] of reaching each leaf, L = 2 ** turns.

    Args:
        decisions: logits [N, T, L - 1] of turning left, nodes numbered level by level: below
            node n are 2n + 1 on the left and 2n + 2 on the right.
        turns: decisions on the way to a leaf.
    """
    left, right = functional.logsigmoid(decisions), functional.logsigmoid(-decisions)
    reached = torch.zeros_like(decisions[:, :, :1])
    for level in range(turns):
        nodes = slice(2**level - 1, 2 ** (level + 1) - 1)
        both = torch.stack([left[:, :, nodes], right[:, :, nodes]], dim=3)
        reached = (reached[..., None] + both).flatten(2)
    return reached


def joint_logarithms(routes: Tensor, age_years: Tensor, leaves: Leaves) -> Tensor:
    """Log of route probability times leaf density [N, T, L]; their sum over L is the likelihood.

    Args:
        routes: log probabilities [N, T, L].
        age_years: [N].
        leaves: of the forest.
    """
    apart = age_years[:, None, None] - leaves.mean
    densities = -0.5 * (apart**2 / leaves.variance + (2 * math.pi * leaves.variance).log())
    return routes + densities


def log_likelihood(routes: Tensor, age_years: Tensor, leaves: Leaves) -> Tensor:
    """Log p(age) [N, T] of each sample under each tree; see `joint_logarithms`."""
    return joint_logarithms(routes, age_years, leaves).logsumexp(dim=2)


def updated_leaves(
    routes: Tensor, age_years: Tensor, leaves: Leaves, least_variance: float
) -> Leaves:
    """One step of expectation maximisation with the routes fixed; all tensors are float64.

    It never lowers the mean of `log_likelihood`, for leaves whose variances are at least
    `least_variance`: the floor is where the best allowed variance lies when the best one is
    below. A leaf that no sample reaches stays as it is (the authors' code moves it to age 0).
    """
    shares = joint_logarithms(routes, age_years, leaves).softmax(dim=2)
    powers = torch.stack([torch.ones_like(age_years), age_years, age_years**2])
    mass, first, second = torch.einsum("kn,ntl->ktl", powers, shares)
    held = mass > 0
    safe = mass.where(held, 1.0)
    mean = first / safe
    variance = (second / safe - mean**2).clamp_min(least_variance)
    return Leaves(mean.where(held, leaves.mean), variance.where(held, leaves.variance))


def age_clusters(age_years: Floats, clusters: int) -> tuple[Floats, Floats]:
    """Means and variances [clusters] of the k-means of ages [N], ascending.

    Starts at evenly spaced places among the distinct ages, so it is the same every time.
    Where ages are fewer than clusters, neighbours share an age.
    """
    distinct = np.unique(age_years)
    places = np.linspace(0, len(distinct) - 1, min(clusters, len(distinct))).round().astype(int)
    centres = distinct[places]
    if len(centres) > 1:  # scipy reads a guess of one number as how many to make
        centres = np.sort(kmeans(age_years, centres)[0])
    label, distance = vq(age_years, centres)
    squares = np.bincount(label, distance**2, len(centres))
    variances = squares / np.bincount(label, minlength=len(centres)).clip(1)
    shared = np.arange(clusters) * len(centres) // clusters
    return centres[shared], variances[shared]


class ForestOutputs(NamedTuple):
    """What a `ForestHead` gives: one row a sample.

    `units` [B, U] that the trees look at, log `routes` [B, T, L], and the leaves, the same for
    every sample: `leaf_mean` and `leaf_variance` [B, T, L].
    """

    units: Tensor
    routes: Tensor
    leaf_mean: Tensor
    leaf_variance: Tensor

    @property
    def leaves(self) -> Leaves:
        """The leaves [B, T, L]."""
        return Leaves(self.leaf_mean, self.leaf_variance)


class ForestHead(LearningHead):
    """T trees over U units of one linear layer.

    The leaves learn from the last `leaf_every` batches at a time, as they were routed when
    they were seen; batches not yet learned from are saved with the weights.

    Args:
        features: width of the input.
        units: U.
        routing: int64 [T, L - 1], the unit that each split node looks at.
        leaves: to start from, [T, L].
        leaf_every: batches between updates of the leaves.
        leaf_iterations: steps of expectation maximisation in an update.
        least_variance: of a leaf, in square years.
    """

    routing: Tensor
    leaf_mean: Tensor
    leaf_variance: Tensor
    batches_kept: Tensor

    def __init__(
        self,
        features: int,
        units: int,
        routing: Tensor,
        leaves: Leaves,
        *,
        leaf_every: int,
        leaf_iterations: int,
        least_variance: float,
    ) -> None:
        super().__init__()
        self.units = nn.Linear(features, units)
        self.turns = leaves.mean.shape[1].bit_length() - 1
        self.leaf_every, self.leaf_iterations = leaf_every, leaf_iterations
        self.least_variance = least_variance
        self.register_buffer("routing", routing)
        self.register_buffer("leaf_mean", leaves.mean)
        self.register_buffer("leaf_variance", leaves.variance)
        self.register_buffer("batches_kept", torch.tensor(0))
        self._kept: list[Tensor] = []

    def forward(self, features: Tensor) -> ForestOutputs:
        """Outputs for features [B, F]."""
        units = at_least_float32(self.units(features))
        routes = log_routes(units[:, self.routing], self.turns)
        return ForestOutputs(
            units, routes, self.leaf_mean.expand_as(routes), self.leaf_variance.expand_as(routes)
        )

    def after_step(self, outputs: ForestOutputs, targets: AgeTargets) -> None:
        """Keep the batch; every `leaf_every` batches, learn the leaves from those kept."""
        rows = torch.cat([outputs.units, targets.age_years[:, None].to(outputs.units)], dim=1)
        self._kept.append(rows.detach())
        self.batches_kept += 1
        if int(self.batches_kept) >= self.leaf_every:
            self._learn_leaves()

    def clear_training_features(self) -> None:
        """No batches to learn the leaves from: they stay as they are."""
        self._kept.clear()
        self.batches_kept.zero_()

    def _learn_leaves(self) -> None:
        rows = torch.cat([each.to(self.leaf_mean.device) for each in self._kept]).double()
        units, age_years = rows[:, :-1], rows[:, -1]
        for tree in range(len(self.routing)):
            one = slice(tree, tree + 1)  # a tree at a time, to hold N x L numbers and not T times
            routes = log_routes(units[:, self.routing[one]], self.turns)
            leaves = Leaves(self.leaf_mean[one].double(), self.leaf_variance[one].double())
            for _ in range(self.leaf_iterations):
                leaves = updated_leaves(routes, age_years, leaves, self.least_variance)
            self.leaf_mean[one], self.leaf_variance[one] = leaves
        self._kept.clear()
        self.batches_kept.zero_()

    def get_extra_state(self) -> Tensor:
        """The rows kept [N, U + 1]: units, then age; their number varies, so no buffer holds it."""
        width = self.units.out_features + 1
        return torch.cat([self.leaf_mean.new_zeros(0, width), *self._kept])

    def set_extra_state(self, state: Tensor) -> None:
        """As `get_extra_state` gave it."""
        self._kept = [state] if len(state) else []


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
    departures: ClassVar[tuple[Departure, ...]] = (
        Departure(
            "the released Caffe layer trains the network by half the squared error of each tree",
            "by the paper's likelihood",
            "the paper's equation",
            "--method.criterion squared-error",
        ),
        Departure(
            "the released layer moves a leaf that no sample reaches to age 0",
            "such a leaf that no sample reaches stays where it is",
            "an age of 0 would enter every face's answer",
            "none does so",
        ),
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
    def spec(self) -> OutputSpec:
        """Mean and standard deviation."""
        return OutputSpec(self.scale, "mean-spread")

    def fit_ages(self, age_years: Tensor) -> None:
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
