"""At which rank a person's own pictures are found among those of others.

Cosine similarities of vectors of length 1, a block of probes at a time: memory does not
grow with the square of the pictures. A mate's rank is 1 plus the number of other people's
pictures at least as similar to the probe, so a tie counts against the match; which of two
equal pictures happens to stand first in a table decides nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from agelens.recognition.protocols.mates import Codes, Mates

Vectors: TypeAlias = NDArray[np.float32]

BLOCK_BYTES: Final = 64_000_000
"""Of similarities at a time."""


def best_mate_ranks(
    probes: Vectors, gallery: Vectors, mates: Mates, *, block_bytes: int = BLOCK_BYTES
) -> Codes:
    """The rank [P] of each probe's most similar mate, from 1; 0 where it has no mate.

    Args:
        probes: float32 [P, D], rows of length 1.
        gallery: float32 [G, D], rows of length 1; the probes themselves, if `mates.itself`.
        mates: who is who.
        block_bytes: of similarities at a time.
    """
    ranks = np.zeros(len(probes), dtype=np.int64)
    for block, similar in similarity_blocks(probes, gallery, block_bytes):
        rows, columns = mates.places(block)
        of_mates = similar[rows, columns]
        if mates.itself:
            of_mates[rows + block.start == columns] = -np.inf
        best = np.full(len(similar), -np.inf, dtype=np.float32)
        present, first = np.unique(rows, return_index=True)
        if rows.size:
            best[present] = np.maximum.reduceat(of_mates, first)
        similar[rows, columns] = -np.inf
        above = np.count_nonzero(similar >= best[:, np.newaxis], axis=1)
        ranks[block] = np.where(np.isneginf(best), 0, 1 + above)
    return ranks


def pair_ranks(
    vectors: Vectors, mates: Mates, *, most: int, block_bytes: int = BLOCK_BYTES
) -> Codes:
    """The rank [T] of every mate of every probe by itself, in the order of `mates.pairs`.

    Args:
        vectors: float32 [N, D], rows of length 1; each is a probe, and in the gallery.
        mates: who is who, with `itself`.
        most: ranks beyond are all `most + 1`.
        block_bytes: of similarities at a time.
    """
    ranks = []
    for block, similar in similarity_blocks(vectors, vectors, block_bytes):
        rows, columns = mates.pairs(block)
        of_mates = similar[rows - block.start, columns]
        similar[mates.places(block)] = -np.inf
        top = max(similar.shape[1] - most, 0)
        similar.partition(top, axis=1)
        nearest = similar[:, top:][rows - block.start]
        ranks.append(1 + np.count_nonzero(nearest >= of_mates[:, np.newaxis], axis=1))
    return np.concatenate([np.zeros(0, dtype=np.int64), *ranks])


def similarity_blocks(
    probes: Vectors, gallery: Vectors, block_bytes: int = BLOCK_BYTES
) -> Iterator[tuple[slice, Vectors]]:
    """Blocks of probes and their cosine similarities [b, G], which may be written to.

    A block is good until the next one is asked for.
    """
    count = max(1, block_bytes // (4 * max(len(gallery), 1)))
    buffer = np.empty((min(count, len(probes)), len(gallery)), dtype=np.float32)
    for start in range(0, len(probes), count):
        block = slice(start, min(start + count, len(probes)))
        similar = buffer[: block.stop - start]
        yield block, np.matmul(probes[block], gallery.T, out=similar)
