"""MXNet's indexed RecordIO files, read without MXNet.

An index line is `key<tab>byte offset`. At the offset stand the magic number, a word with
the length (lower 29 bits) and the part (upper 3: whole, first, middle, last), and the
payload padded to four bytes. A payload that held the magic number was cut there. It
begins with flag, label and two ids; a flag above 0 is the number of labels that follow.
"""

from __future__ import annotations

import mmap
import struct
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from agelens.errors import DatasetError

_MAGIC: Final = 0xCED7230A
_MAGIC_BYTES: Final = struct.pack("<I", _MAGIC)
_WHOLE, _FIRST, _MIDDLE, _LAST = range(4)
_HEADER: Final = struct.Struct("<IfQQ")


class RecordFile:
    """Random access to a `.rec` by the keys of its `.idx`; use it in a `with` block.

    `keys` int64 [N] are in the order of the index.

    Raises:
        DatasetError: a file is absent, empty, or the index points beyond the records' end.
    """

    def __init__(self, rec: str | Path, idx: str | Path) -> None:
        self.path = Path(rec)
        index = _read_index(Path(idx))
        self.keys: NDArray[np.int64] = index[:, 0]
        order = np.argsort(self.keys, kind="stable")
        self._sorted_keys, self._sorted_offsets = self.keys[order], index[order, 1]
        with self.path.open("rb") as file:
            size = file.seek(0, 2)
            if size <= index[:, 1].max():
                raise DatasetError(
                    f"{rec} has {size} bytes, its index points to {index[:, 1].max()}: "
                    "the file is cut off; download it again"
                )
            self._bytes = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bytes.close()

    def __contains__(self, key: int) -> bool:
        at = int(np.searchsorted(self._sorted_keys, key))
        return at < len(self._sorted_keys) and bool(self._sorted_keys[at] == key)

    def labels(self, key: int) -> NDArray[np.float32]:
        """The labels of one record [K]: one, or as many as its flag says."""
        return _split(self._payload(key))[0]

    def flag(self, key: int) -> int:
        """How many labels follow the header of one record; 0 where the header holds it."""
        return int(_HEADER.unpack_from(self._payload(key))[0])

    def content(self, key: int) -> bytes:
        """What follows header and labels: an encoded picture."""
        return _split(self._payload(key))[1]

    def _payload(self, key: int) -> bytes:
        if key not in self:
            raise DatasetError(f"{self.path}: its index has no record {key}")
        offset = int(self._sorted_offsets[np.searchsorted(self._sorted_keys, key)])
        part, parts = _FIRST, []
        while part in (_FIRST, _MIDDLE):
            part, payload = self._part(key, offset)
            parts.append(payload)
            offset += 8 + (len(payload) + 3) // 4 * 4
        joined = _MAGIC_BYTES.join(parts)
        if len(joined) < _HEADER.size:
            raise DatasetError(f"{self.path}: record {key} is shorter than its header")
        return joined

    def _part(self, key: int, offset: int) -> tuple[int, bytes]:
        head = self._bytes[offset : offset + 8]
        magic, word = struct.unpack("<II", head) if len(head) == 8 else (0, 0)
        length = word & (1 << 29) - 1
        payload = self._bytes[offset + 8 : offset + 8 + length]
        if magic != _MAGIC or len(payload) < length:
            raise DatasetError(
                f"{self.path}: no whole record {key} at byte {offset}: the index belongs to "
                "another file, or this one is damaged"
            )
        return word >> 29, payload


def _split(payload: bytes) -> tuple[NDArray[np.float32], bytes]:
    flag, label, _, _ = _HEADER.unpack_from(payload)
    if not flag:
        return np.array([label], dtype=np.float32), payload[_HEADER.size :]
    end = _HEADER.size + 4 * flag
    return np.frombuffer(payload[_HEADER.size : end], dtype="<f4"), payload[end:]


def _read_index(path: Path) -> NDArray[np.int64]:
    try:
        index = pd.read_csv(path, sep="\t", header=None, dtype=np.int64).to_numpy()
    except (OSError, ValueError) as error:
        raise DatasetError(f"{path} is no index of a record file: {error}") from error
    if index.shape[1] != 2:
        raise DatasetError(f"{path}: expected a key and an offset a line")
    return index
