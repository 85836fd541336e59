"""The weights in a file of dlib's, read without dlib, whose Python module does not show them.

dlib writes a network from the input on: for each layer its name and, where it has any, a
tensor of its weights. Numbers are a byte that counts the bytes which follow, little-endian;
tensors are four such numbers for their shape, then float32.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray

from agelens.errors import CardError

Weights = NDArray[np.float32]

# Length of the name, the name, and the version of the tensor behind it.
_LAYER: Final = re.compile(rb"\x01(?:\x05con_4|\x07affine_|\x04fc_2(?=\x01))")
_TENSOR_VERSION: Final = 2
_LONGEST_NUMBER: Final = 8


def layer_weights(content: bytes) -> list[tuple[str, Weights]]:
    """The name and the flat weights of each convolution, affine and linear layer, in order.

    Args:
        content: of the file. It must be known by its hash: this reads one kind of network.

    Raises:
        CardError: the file ends within a tensor, or a tensor is not of dlib's version 2.
    """
    return list(_layers(content))


def _layers(content: bytes) -> Iterator[tuple[str, Weights]]:
    place = 0
    while found := _LAYER.search(content, place):
        name = found.group()[2:].decode()
        place = found.end()
        if name == "fc_2":  # its two sizes stand before the weights
            for _ in range(2):
                _, place = _number(content, place)
        weights, place = _tensor(content, place)
        yield name, weights


def _tensor(content: bytes, place: int) -> tuple[Weights, int]:
    version, place = _number(content, place)
    if version != _TENSOR_VERSION:
        raise CardError(f"dlib's tensor version {version} at byte {place}; 2 is what is read")
    count = 1
    for _ in range(4):
        size, place = _number(content, place)
        count *= size
    end = place + 4 * count
    if end > len(content):
        raise CardError(f"dlib's file ends within a tensor of {count} numbers at byte {place}")
    return np.frombuffer(content, dtype="<f4", count=count, offset=place), end


def _number(content: bytes, place: int) -> tuple[int, int]:
    length = content[place] if place < len(content) else 0
    if not 1 <= length <= _LONGEST_NUMBER:
        raise CardError(f"dlib's file has no number at byte {place}")
    return int.from_bytes(content[place + 1 : place + 1 + length], "little"), place + 1 + length
