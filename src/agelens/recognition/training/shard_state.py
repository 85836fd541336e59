"""Sharded centres in checkpoints: written whole, so that any number of processes can go on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import torch
from torch import Tensor, distributed

from agelens.recognition.margins import ClassWeights

WEIGHT: Final = "model.margin.classes.weight"
"""The name of the centres in a checkpoint."""

_MOMENTUM: Final = "momentum_buffer"


def save_shards(checkpoint: dict[str, Any], classes: ClassWeights) -> None:
    """Put the centres of all processes, and their momentum, in place of this one's.

    Every process has to call it. Where nothing is sharded, nothing changes.
    """
    if classes.processes > 1:
        _replace(checkpoint, lambda shard: _whole(shard, classes))


def load_shards(checkpoint: dict[str, Any], classes: ClassWeights) -> None:
    """Leave of the centres in a checkpoint, and of their momentum, what is this process's."""
    if classes.processes > 1:
        _replace(checkpoint, lambda whole: whole[classes.stretch].clone())


def _replace(checkpoint: dict[str, Any], change: Callable[[Tensor], Tensor]) -> None:
    """Change the centres, which are the last weights of the first optimiser, and their momentum.

    Dictionaries are made anew: those of a checkpoint are the optimiser's own.
    """
    weights = checkpoint["state_dict"]
    checkpoint["state_dict"] = {**weights, WEIGHT: change(weights[WEIGHT])}
    first, *others = checkpoint["optimizer_states"]
    last = first["param_groups"][-1]["params"][-1]
    kept = first["state"].get(last, {})
    if kept.get(_MOMENTUM) is None:  # before the first step
        return
    states = {**first["state"], last: {**kept, _MOMENTUM: change(kept[_MOMENTUM])}}
    checkpoint["optimizer_states"] = [{**first, "state": states}, *others]


def _whole(shard: Tensor, classes: ClassWeights) -> Tensor:
    """The shards [C, features] of all processes, of which some have one row more."""
    longest = -(-classes.identities // classes.processes)
    padded = shard.new_zeros(longest, shard.shape[1])
    padded[: len(shard)] = shard
    parts = [torch.empty_like(padded) for _ in range(classes.processes)]
    distributed.all_gather(parts, padded)
    edges = [classes.identities * n // classes.processes for n in range(classes.processes + 1)]
    return torch.cat([part[: edges[n + 1] - edges[n]] for n, part in enumerate(parts)])
