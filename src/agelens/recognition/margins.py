"""Margin losses over the identities of a training set, whole, sampled or shared by processes."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from typing import Any, Final

import torch
from torch import Tensor, distributed, nn
from torch.autograd import Function

from agelens.errors import UsageError


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


_SPREAD: Final = 0.01
"""Of starting centres. Only their direction counts; short ones turn fast at first."""


class ClassWeights(nn.Module):
    """Centres of identities, and the cosines of embeddings with them.

    With a `sample_rate` below 1 a step sees that share of the centres: those of the batch's
    identities always, others by chance (partial FC, An et al., ICCVW 2021 and CVPR 2022). `rows`
    then names them until the next step, and `SampledSGD` lets the others rest.

    After `shard`, each of several processes holds a stretch of the identities, sees the
    embeddings of all processes, and has the cosines with its own centres.

    Args:
        identities: how many.
        features: width of the embedding.
        sample_rate: above 0, to 1.

    Raises:
        UsageError: fewer than two identities, or a rate out of range.
    """

    rows: Tensor | None

    def __init__(self, identities: int, features: int, *, sample_rate: float = 1.0) -> None:
        super().__init__()
        if identities < 2:
            raise UsageError(f"recognition is learned from 2 identities or more, got {identities}")
        if not 0 < sample_rate <= 1:
            raise UsageError(f"the share of centres a step sees is above 0 to 1, got {sample_rate}")
        self.identities = identities
        self.sample_rate = sample_rate
        self.weight = nn.Parameter(torch.empty(identities, features))
        nn.init.normal_(self.weight, std=_SPREAD)
        self.first, self.processes, self.process = 0, 1, 0
        self.rows = None

    @property
    def stretch(self) -> slice:
        """The identities whose centres are here."""
        return slice(self.first, self.first + len(self.weight))

    def shard(self, process: int, processes: int) -> None:
        """Keep the stretch of one of several processes, equal to within one identity.

        Raises:
            UsageError: more processes than identities, or it is sharded already.
        """
        if self.processes > 1 or processes > self.identities:
            raise UsageError(
                f"{self.identities} centres in {self.processes} shards cannot be shared by "
                f"{processes} processes"
            )
        edges = [self.identities * place // processes for place in range(processes + 1)]
        self.process, self.processes = process, processes
        self.first = edges[process]
        own = slice(edges[process], edges[process + 1])
        self.weight = nn.Parameter(self.weight.detach()[own].clone())

    def forward(self, embeddings: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Cosines [B, C] with the centres that are seen here, and each right one's place [B].

        The place is -1 where the right centre is another process's. B counts the embeddings
        of all processes where there are shards.

        Args:
            embeddings: float32 [b, features], of any length.
            labels: int64 [b], from 0.
        """
        if self.processes > 1:
            embeddings, labels = gathered(embeddings), gathered_labels(labels)
        here = (labels >= self.first) & (labels < self.stretch.stop)
        places = torch.where(here, labels - self.first, -1)
        self.rows = None
        if self.sample_rate < 1:
            self.rows = self._drawn(places[here])
            found = torch.searchsorted(self.rows, places.clamp_min(0))
            places = torch.where(here, found, -1)
        return self.cosines(embeddings, self.rows), places

    def cosines(self, embeddings: Tensor, rows: Tensor | None = None) -> Tensor:
        """Cosines [B, C] of embeddings [B, features] with the centres `rows`, or with all."""
        centres = self.weight if rows is None else self.weight[rows]
        return nn.functional.linear(
            nn.functional.normalize(embeddings), nn.functional.normalize(centres)
        )

    def _drawn(self, needed: Tensor) -> Tensor:
        """The centres that this step sees, ascending: all that are `needed`, others by chance."""
        chances = torch.rand(len(self.weight), device=self.weight.device)
        chances[needed] = 2.0
        count = max(round(self.sample_rate * len(self.weight)), int((chances > 1).sum()), 1)
        return chances.topk(count).indices.sort().values


class SampledSGD(torch.optim.SGD):
    """Torch's SGD with momentum; centres that were not drawn rest, momentum and decay too.

    So An et al. (CVPR 2022) have it. Torch's own would drive them on: their gradient of 0 is
    not the absence of one.

    Args:
        groups: as torch's optimisers take them; one has `classes.weight`.
        classes: where all centres are seen, this is torch's SGD.
        lr: learning rate of groups without their own.
        momentum: of the running sum of gradients.
    """

    def __init__(
        self,
        groups: Iterable[dict[str, Any]],
        classes: ClassWeights,
        *,
        lr: float,
        momentum: float = 0.9,
    ) -> None:
        super().__init__(groups, lr=lr, momentum=momentum)
        self._classes = classes

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """See torch's SGD."""
        weight, rows = self._classes.weight, self._classes.rows
        if rows is None or weight.grad is None:
            whole: float | None = super().step(closure)
            return whole
        gradient, weight.grad = weight.grad, None
        loss: float | None = super().step(closure)
        weight.grad = gradient
        self._move(weight, rows, gradient[rows])
        return loss

    def _move(self, weight: Tensor, rows: Tensor, gradient: Tensor) -> None:
        group = next(one for one in self.param_groups if any(weight is p for p in one["params"]))
        state = self.state[weight]
        if state.get("momentum_buffer") is None:
            state["momentum_buffer"] = torch.zeros_like(weight)
        buffer = state["momentum_buffer"]
        kept = weight[rows]
        buffer[rows] = group["momentum"] * buffer[rows] + gradient + group["weight_decay"] * kept
        weight[rows] = kept - group["lr"] * buffer[rows]


class Margin(nn.Module, ABC):
    """From cosines to logits, in which the right identity has to win by a margin.

    Args:
        scale: every cosine is multiplied by it, since a softmax over numbers of at most 1
            could never be sure.
        margin: how much; 0 is a plain softmax over scaled cosines.

    Raises:
        UsageError: a scale of 0 or less, or a negative margin.
    """

    def __init__(self, scale: float, margin: float) -> None:
        super().__init__()
        if scale <= 0 or margin < 0:
            raise UsageError(
                f"a margin loss needs a scale above 0 and a margin of 0 or more, got {scale} and "
                f"{margin}"
            )
        self.scale = scale
        self.margin = margin

    def forward(self, cosines: Tensor, targets: Tensor) -> Tensor:
        """Logits [B, C].

        Args:
            cosines: of each embedding with each identity's centre [B, C], -1 to 1.
            targets: place of the right identity in each row [B], -1 where it is not among the C.
        """
        rows = torch.nonzero(targets >= 0).squeeze(1)
        places = (rows, targets[rows])
        return self.scale * cosines.index_put(places, self.moved(cosines[places]))

    @abstractmethod
    def moved(self, cosines: Tensor) -> Tensor:
        """The cosines [N] of right identities, made smaller by the margin."""


class MarginLoss(nn.Module):
    """Cross-entropy of the identities, the right one handicapped by a margin.

    It reckons in 32 bits under mixed precision too: in 16, a cosine near 1 times 64 is wrong by
    more than a hundredth of a nat. Of several processes that share the identities, each has
    the same loss: the mean over all of their batches.

    Args:
        classes: the identities' centres.
        margin: the handicap.
    """

    def __init__(self, classes: ClassWeights, margin: Margin) -> None:
        super().__init__()
        self.classes = classes
        self.margin = margin

    def forward(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        """The loss, a scalar, of embeddings [b, F] with identities int64 [b]."""
        with torch.autocast(embeddings.device.type, enabled=False):
            cosines, targets = self.classes(embeddings.float(), labels)
            logits = self.margin(cosines, targets)
            if self.classes.processes > 1:
                return sharded_cross_entropy(logits, targets)
            return nn.functional.cross_entropy(logits, targets)


class CosFace(Margin):
    """CosFace (Wang et al., CVPR 2018): s (cos t - m) for the right identity, s cos t for others.

    Args:
        scale: s.
        margin: m, as IEFP has it 0.35. At s 64 a cosine of 0.5 becomes the logit 9.6.

    Raises:
        UsageError: a scale of 0 or less, or a negative margin.
    """

    def __init__(self, scale: float = 64.0, margin: float = 0.35) -> None:
        super().__init__(scale, margin)

    def moved(self, cosines: Tensor) -> Tensor:
        """See `Margin`."""
        return cosines - self.margin


_LEAST_SQUARE: Final = 1e-12
"""Of the sine: its root has no slope at 0, where an embedding lies on its centre."""


class ArcFace(Margin):
    """ArcFace (Deng et al., CVPR 2019): s cos(t + m) for the right identity, s cos t for others.

    Past a right identity's angle of pi - m the cosine of t + m would rise again. There it goes
    on as a straight line, cos t - m sin m, whose slope is right. `easy` has the margin only
    where the angle is below a right one, so that what is far off is not pushed.

    Args:
        scale: s.
        angle: m in radians, below pi. At s 64 and m 0.5 a cosine of 0.5 becomes 1.51.
        easy: the easy form.

    Raises:
        UsageError: a scale of 0 or less, or a margin that is negative or no angle.
    """

    def __init__(self, scale: float = 64.0, angle: float = 0.5, *, easy: bool = False) -> None:
        super().__init__(scale, angle)
        if angle >= math.pi:
            raise UsageError(f"ArcFace's margin is an angle below pi, got {angle}")
        self.angle = angle
        self.easy = easy

    def moved(self, cosines: Tensor) -> Tensor:
        """See `Margin`."""
        sines = (1 - cosines.square()).clamp_min(_LEAST_SQUARE).sqrt()
        turned = cosines * math.cos(self.margin) - sines * math.sin(self.margin)
        if self.easy:
            return torch.where(cosines > 0, turned, cosines)
        beyond = cosines - self.margin * math.sin(self.margin)
        return torch.where(cosines > math.cos(math.pi - self.margin), turned, beyond)
