"""Chance as a function of seed and place: a resumed run draws what an unbroken one does."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor


def generator(*entropy: int) -> torch.Generator:
    """A generator on the CPU, seeded from the numbers `entropy`, each at least 0."""
    return torch.Generator().manual_seed(_word(*entropy))


def seed_torch(*entropy: int) -> None:
    """Seed what torch draws first weights from; `agelens.training.seeding` would load Lightning."""
    torch.manual_seed(_word(*entropy))


def batches(faces: int, size: int, *entropy: int) -> tuple[Tensor, ...]:
    """Rows int64 of each batch of one epoch, in an order drawn from the numbers `entropy`.

    All faces come, in batches as equal as can be of at least `size` faces (all of them, where they
    are fewer): one of a single face would have no variance to normalise by.
    """
    order = np.random.default_rng(np.random.SeedSequence(entropy)).permutation(faces)
    return torch.from_numpy(order).tensor_split(max(1, faces // size))


def _word(*entropy: int) -> int:
    return int(np.random.SeedSequence(entropy).generate_state(1)[0])
