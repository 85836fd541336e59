"""insightface's verification sets: one pickle with the encoded pictures of all pairs."""

from __future__ import annotations

import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from agelens.errors import DatasetError

_ALLOWED: Final = {
    ("numpy._core.multiarray", "_reconstruct"),
    ("numpy._core.multiarray", "scalar"),
    ("numpy._core.numeric", "_frombuffer"),
    ("numpy", "ndarray"),
    ("numpy", "dtype"),
    ("_codecs", "encode"),
}
# What unpickling bytes that are no pickle can end in.
_DAMAGED: Final = (
    *(OSError, EOFError, ValueError, TypeError, AttributeError, IndexError, KeyError),
    *(OverflowError, MemoryError, pickle.UnpicklingError),
)


@dataclass(frozen=True, slots=True, eq=False)
class VerificationSet:
    """`pictures`, encoded, a and b of each pair in turn (2N); `same` bool [N]."""

    pictures: tuple[bytes, ...]
    same: NDArray[np.bool_]


def read_verification_bin(path: str | Path) -> VerificationSet:
    """A `.bin` such as `lfw.bin`, `agedb_30.bin` or `calfw.bin`, 112 x 112 pictures.

    Only bytes, lists, tuples, booleans and numpy arrays are unpickled: a file that asks for
    anything else is refused before that runs.

    Raises:
        DatasetError: the file is absent, damaged, asks for other types, or does not hold two
            pictures a pair.
    """
    try:
        with Path(path).open("rb") as file:
            pictures, same = _RestrictedUnpickler(file, encoding="bytes").load()
        encoded = tuple(_encoded(picture) for picture in pictures)
        found = VerificationSet(encoded, np.array(list(same), dtype=bool))
    except _DAMAGED as error:
        raise DatasetError(f"{path} is no verification set: {error}") from error
    if len(encoded) != 2 * len(found.same):
        raise DatasetError(f"{path}: {len(encoded)} pictures for {len(found.same)} pairs")
    return found


def _encoded(picture: Any) -> bytes:
    if isinstance(picture, np.ndarray):
        return picture.tobytes()
    if not isinstance(picture, bytes):
        raise TypeError(f"a picture is {type(picture).__name__}, expected bytes")
    return picture


class _RestrictedUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        # The files were written by numpy 1, whose modules numpy 2 has moved.
        module = module.replace("numpy.core.", "numpy._core.")
        if (module, name) not in _ALLOWED:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, which is not allowed")
        return super().find_class(module, name)
