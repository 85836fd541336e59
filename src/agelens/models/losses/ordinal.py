"""Losses of K - 1 questions "older than age k?", and the weights of those questions."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from agelens.models.losses.precision import at_least_float32


def levels(classes: Tensor, tasks: int) -> Tensor:
    """Truth bool [B, tasks] of "class above k" for `classes` int64 [B], k from 0.

    Class 2 of 5 has levels ``1 1 0 0``.
    """
    return classes[:, None] > torch.arange(tasks, device=classes.device)


def ordinal_cross_entropy(
    logits: Tensor, classes: Tensor, task_weights: Tensor | None = None
) -> Tensor:
    """Binary cross entropy of each task, summed over tasks, mean over the batch.

    The loss of OR-CNN in its single-logit form (Niu et al., CVPR 2016) and of CORAL (Cao et
    al., Pattern Recognition Letters 2020). Logits of zero cost ``(K - 1) * log(2)``.

    Args:
        logits: [B, K - 1] of "older than age k".
        classes: int64 [B], 0 to K - 1.
        task_weights: [K - 1]; all 1 by default.
    """
    logits = at_least_float32(logits)
    truth = levels(classes, logits.shape[1]).to(logits.dtype)
    weights = None if task_weights is None else task_weights.to(logits)
    costs = functional.binary_cross_entropy_with_logits(
        logits, truth, weight=weights, reduction="none"
    )
    return costs.sum(dim=1).mean()


def two_way_cross_entropy(
    logits: Tensor, classes: Tensor, task_weights: Tensor | None = None
) -> Tensor:
    """The same for tasks that are two-way softmaxes: `logits` [B, K - 1, 2], "no" before "yes"."""
    logits = at_least_float32(logits)
    truth = levels(classes, logits.shape[1]).long()
    costs = functional.cross_entropy(logits.transpose(1, 2), truth, reduction="none")
    if task_weights is not None:
        costs = costs * task_weights.to(logits)
    return costs.sum(dim=1).mean()


def conditional_cross_entropy(logits: Tensor, classes: Tensor) -> Tensor:
    """Loss of CORN (Shi, Cao and Raschka, Pattern Analysis and Applications 2023).

    Task k learns from the samples that are above class k - 1 alone; all questions so asked
    count the same, so the sum is divided by their number. Logits of zero cost ``log(2)``.

    Args:
        logits: [B, K - 1] of "older than age k, given older than age k - 1".
        classes: int64 [B], 0 to K - 1.
    """
    logits, tasks = at_least_float32(logits), logits.shape[1]
    asked = (classes[:, None] >= torch.arange(tasks, device=classes.device)).to(logits.dtype)
    costs = functional.binary_cross_entropy_with_logits(
        logits, levels(classes, tasks).to(logits.dtype), weight=asked, reduction="sum"
    )
    return costs / asked.sum()


def share_weights(classes: Tensor, tasks: int) -> Tensor:
    """OR-CNN's weights float64 [tasks] of training labels [N]: they sum to 1.

    ``sqrt(N_k) / sum_i sqrt(N_i)``, N_k the samples of class k (Niu et al., CVPR 2016), and 1
    where there are none: a task of weight 0 would stay as it was drawn, and its answer still
    counts in the rank.
    """
    counts = torch.bincount(classes, minlength=tasks + 1)[:tasks]
    roots = counts.clamp_min(1).double().sqrt()
    return roots / roots.sum()


def importance_weights(classes: Tensor, tasks: int) -> Tensor:
    """CORAL's weights float64 [tasks] of training labels [N]: the largest is 1.

    The root of the larger side of each question, divided by the largest root, as in the
    authors' code (Cao et al., 2020). A question that splits the samples in half weighs
    ``sqrt(1 / 2)`` of one that all answer alike.
    """
    counts = torch.bincount(classes, minlength=tasks + 1)
    above = len(classes) - counts.cumsum(0)[:tasks]
    roots = torch.maximum(above, len(classes) - above).double().sqrt()
    return roots / roots.max()
