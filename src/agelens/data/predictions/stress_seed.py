"""One seed for each face, so that every model and severity meets the same damage."""

from __future__ import annotations

from zlib import crc32


def stress_seed(seed: int, sample_id: str) -> int:
    """The seed of the damages to a sample: the same in every run, another for every sample."""
    return crc32(f"{seed}/{sample_id}".encode())
