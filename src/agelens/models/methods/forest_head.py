"""The head of a deep regression forest, and how its leaves learn (Shen et al., CVPR 2018)."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from agelens.models.losses.forest import Leaves, log_routes, updated_leaves
from agelens.models.losses.precision import at_least_float32
from agelens.models.methods.base import AgeTargets, LearningHead


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

    def forget_faces(self) -> None:
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
