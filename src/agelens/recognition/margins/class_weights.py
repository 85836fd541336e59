"""One centre for each identity: all of them, a sample at each step, or a shard a process."""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor, nn

from agelens.errors import UsageError
from agelens.recognition.margins.sharding import gathered, gathered_labels

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
