"""Random order from names instead of from row numbers.

A sample's place in a split must not change when its table is sorted, when another picture
is added, or when a library's random generator does. Hence every name gets a 64-bit
fingerprint, the first eight bytes of its SHA-256, and a seed only mixes those bits.
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import sha256
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Prints = NDArray[np.uint64]

_GOLDEN: Final = 0x9E3779B97F4A7C15
_CHUNK: Final = 100_000


def fingerprints(texts: pd.Series | Iterable[str]) -> Prints:
    """Fingerprints [N] of texts: big-endian, of their UTF-8.

    >>> f"{fingerprints(['a'])[0]:016x}"
    'ca978112ca1bbdca'
    """
    texts = texts if isinstance(texts, pd.Series) else pd.Series(list(texts), dtype=object)
    chunks = [texts.iloc[at : at + _CHUNK] for at in range(0, len(texts), _CHUNK)]
    digests = (
        b"".join([sha256(text.encode()).digest()[:8] for text in chunk.to_numpy(dtype=object)])
        for chunk in chunks
    )
    parts = [np.frombuffer(digest, dtype=">u8").astype(np.uint64) for digest in digests]
    return np.concatenate([*parts, np.empty(0, np.uint64)])


def seeded(prints: Prints, seed: int) -> Prints:
    """The prints [N] mixed with a seed: uniform, and different prints stay different.

    The finaliser of splitmix64 (Steele, Lea and Flood, OOPSLA 2014), applied to the seed
    first so that neighbouring seeds share nothing.
    """
    offset = _mixed(np.array([(seed * _GOLDEN + _GOLDEN) % 2**64], dtype=np.uint64))
    return _mixed(prints + offset)


def _mixed(bits: Prints) -> Prints:
    bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return bits ^ (bits >> np.uint64(31))
