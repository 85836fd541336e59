"""What processes that share a softmax tell each other, forwards and backwards."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, distributed
from torch.autograd import Function


def gathered(embeddings: Tensor) -> Tensor:
    """The embeddings [B, F] of all processes, in their order, of this one's [b, F].

    Every process has as many. Backwards, each gets the gradients that all of them have for its
    own, times the number of processes: data parallelism then takes the mean over processes
    where the sum would be right.
    """
    whole: Tensor = _Gathered.apply(embeddings)
    return whole


def gathered_labels(labels: Tensor) -> Tensor:
    """The labels [B] of all processes, in their order, of this one's [b]."""
    parts = [torch.empty_like(labels) for _ in range(distributed.get_world_size())]
    distributed.all_gather(parts, labels.contiguous())
    return torch.cat(parts)


def sharded_cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    """The mean cross-entropy over identities whose logits lie in several processes, a scalar.

    Args:
        logits: this process's [B, C].
        targets: place of each right logit [B], -1 where it is another process's.
    """
    loss: Tensor = _ShardedCrossEntropy.apply(logits, targets)
    return loss


class _Gathered(Function):
    @staticmethod
    def forward(ctx: Any, embeddings: Tensor) -> Tensor:
        ctx.size = len(embeddings)
        parts = [torch.empty_like(embeddings) for _ in range(distributed.get_world_size())]
        distributed.all_gather(parts, embeddings.contiguous())
        return torch.cat(parts)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        whole = gradients[0].contiguous()
        distributed.all_reduce(whole)
        first = distributed.get_rank() * ctx.size
        return whole[first : first + ctx.size] * distributed.get_world_size()


class _ShardedCrossEntropy(Function):
    @staticmethod
    def forward(ctx: Any, logits: Tensor, targets: Tensor) -> Tensor:
        greatest = logits.amax(1)
        distributed.all_reduce(greatest, distributed.ReduceOp.MAX)
        shifted = logits - greatest[:, None]
        rows = torch.nonzero(targets >= 0).squeeze(1)
        right = torch.zeros_like(greatest)
        right[rows] = shifted[rows, targets[rows]]
        distributed.all_reduce(right)
        chances = shifted.exp_()
        total = chances.sum(1)
        distributed.all_reduce(total)
        chances /= total[:, None]
        ctx.save_for_backward(chances, rows, targets)
        return (total.log() - right).mean()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        chances, rows, targets = ctx.saved_tensors
        change = chances.clone()
        change[rows, targets[rows]] -= 1
        return change * (gradients[0] / len(chances)), None
