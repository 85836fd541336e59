"""MS1MV3 (MS1M-RetinaFace): 93,431 identities to train recognition on, no ages of its own."""

from __future__ import annotations

import mmap
import re
import struct
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from agelens.data.datasets.base import named_pictures, numbers, sample_table, with_issues
from agelens.data.datasets.folder import DatasetFolder
from agelens.errors import DatasetError
from agelens.foreign_files import decoding
from agelens.tables import SampleTable

_MAGIC: Final = 0xCED7230A
_MAGIC_BYTES: Final = struct.pack("<I", _MAGIC)
_WHOLE, _FIRST, _MIDDLE, _LAST = range(4)
_HEADER: Final = struct.Struct("<IfQQ")
_MOST_CLASSES: Final = 2**31


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

    def person(self, key: int) -> int:
        """The class of a picture's record."""
        label = float(self.labels(key)[0])
        if not abs(label) < _MOST_CLASSES:
            raise DatasetError(f"{self.path}: record {key} has no class, its label is {label}")
        return int(label)

    def span(self, key: int) -> tuple[int, int]:
        """The keys that one record's two labels span: the first, and that after the last."""
        labels = self.labels(key)[:2]
        largest = int(self._sorted_keys[-1])
        if len(labels) < 2 or not (labels >= 0).all() or not (labels <= largest + 1).all():
            raise DatasetError(f"{self.path}: record {key} spans no keys of the index")
        return int(labels[0]), max(int(labels[0]), int(labels[1]))

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
    end = _HEADER.size + 4 * flag
    if end > len(payload):
        raise DatasetError(f"a record states {flag} labels, and has {len(payload)} bytes in all")
    if not flag:
        return np.array([label], dtype=np.float32), payload[_HEADER.size :]
    return np.frombuffer(payload[_HEADER.size : end], dtype="<f4"), payload[end:]


def _read_index(path: Path) -> NDArray[np.int64]:
    with decoding(path, "an index of a record file", DatasetError):
        index = pd.read_csv(path, sep="\t", header=None, dtype=np.int64).to_numpy()
    if index.shape[1] != 2 or index.min() < 0:
        raise DatasetError(f"{path}: expected a key and an offset a line, both 0 or more")
    return index


_NAME: Final = re.compile(r"(?:^|/)(?P<subject>[^/]+)/\d+(?:_age_(?P<age>-?\d+(?:\.\d+)?))?\.\w+$")
_FOLDERS: Final = ("ms1m-retinaface-t1", ".")


def read_ms1mv3(root: str | Path) -> SampleTable:
    """MS1MV3 from `train.rec` and `train.idx` (Guo et al., 2016; Deng et al., 2019).

    Terms: research; Microsoft withdrew the source, MS-Celeb-1M, over people who had not agreed
    to be in it. Labels: identity only, no age; 5,179,510 pictures of 93,431 people, 112 x 112.

    Noise and bias: celebrities and others found by a web search, cleaned by a model; Western and
    white faces are most.

    `path` is where `iter_images` puts the picture: `{class, 6 digits}/{record, 8 digits}.jpg`;
    `subject` is the class. Only the identity records are read, not the pictures.

    Raises:
        DatasetError: a file is absent, cut off, or its index belongs to another.
    """
    with _open(root) as records:
        keys, classes = _images(records)
    people, inverse = np.unique(classes, return_inverse=True)
    names = np.array([f"{person:06d}" for person in people], dtype=object)[inverse]
    paths = [f"{name}/{key:08d}.jpg" for name, key in zip(names, keys.tolist(), strict=True)]
    rows = with_issues({"path": paths}).assign(subject=pd.Categorical(names))
    return sample_table("ms1mv3", rows)


def iter_images(root: str | Path) -> Iterator[tuple[str, bytes]]:
    """Each picture's `path` as in `read_ms1mv3` and its JPEG bytes, in the table's order.

    Raises:
        DatasetError: a file is absent, cut off, or damaged where it is read.
    """
    with _open(root) as records:
        keys, classes = _images(records)
        for key, person in zip(keys.tolist(), classes.tolist(), strict=True):
            yield f"{person:06d}/{key:08d}.jpg", records.content(key)


def read_ms1mv3_folders(root: str | Path) -> SampleTable:
    """MS1MV3 as a folder of pictures for each identity, `000123/00012345_age_39.jpg`.

    Terms, noise and bias are those of `read_ms1mv3`. Labels: identity, and an age where IEFP's
    form adds one to the name. It is another model's estimate, so `age_kind` is "estimated".

    Raises:
        DatasetError: there is no such folder, or no picture lies in such folders.
    """
    folder = DatasetFolder(root, "MS1MV3 (folders)")
    files = folder.pictures(".")
    rows = named_pictures(folder, files.paths, _NAME, "000123/00012345_age_39.jpg")
    rows["age_years"] = numbers(rows, "age", unknown=())
    return sample_table("ms1mv3-folders", rows, age_kind="estimated")


def _open(root: str | Path) -> RecordFile:
    folder = DatasetFolder(root, "MS1MV3")
    under = folder.folder(*_FOLDERS)
    return RecordFile(folder.file(f"{under}/train.rec"), folder.file(f"{under}/train.idx"))


def _images(records: RecordFile) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Keys of the pictures' records [N] and the class of each [N]."""
    if 0 not in records or not records.flag(0):  # made with im2rec: pictures only
        classes = [records.person(key) for key in records.keys.tolist()]
        return records.keys, np.array(classes, dtype=np.int64)
    first_identity, end = records.span(0)
    spans = [records.span(key) for key in range(first_identity, end)]
    if sum(last - first for first, last in spans) > len(records.keys):
        raise DatasetError(f"{records.path}: its identities have more pictures than it has records")
    keys = np.concatenate([np.empty(0, np.int64), *(np.arange(*span) for span in spans)])
    # A class is not the rank of its identity record by contract: its first picture says it.
    labels = [records.person(first) for first, last in spans if first < last]
    lengths = [last - first for first, last in spans if first < last]
    return keys, np.repeat(np.array(labels, dtype=np.int64), lengths)
