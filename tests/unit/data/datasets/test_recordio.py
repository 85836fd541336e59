"""RecordIO without MXNet, against records packed here by the format's description."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agelens.data.datasets.ms1mv3 import RecordFile
from agelens.errors import DatasetError

MAGIC = struct.pack("<I", 0xCED7230A)


def packed(payload: bytes) -> bytes:
    """One record as the writer cuts it: at each magic number inside the payload."""
    pieces = payload.split(MAGIC)
    flags = [0] if len(pieces) == 1 else [1, *[2] * (len(pieces) - 2), 3]
    record = b""
    for flag, piece in zip(flags, pieces, strict=True):
        record += MAGIC + struct.pack("<I", flag << 29 | len(piece))
        record += piece + bytes(-len(piece) % 4)
    return record


def write(folder: Path, payloads: dict[int, bytes]) -> tuple[Path, Path]:
    data, index = b"", ""
    for key, payload in payloads.items():
        index += f"{key}\t{len(data)}\n"
        data += packed(payload)
    (folder / "x.rec").write_bytes(data)
    (folder / "x.idx").write_text(index)
    return folder / "x.rec", folder / "x.idx"


def header(flag: int, label: float = 0.0) -> bytes:
    return struct.pack("<IfQQ", flag, label, 0, 0)


pieces = st.lists(st.binary(max_size=6) | st.just(MAGIC), max_size=6).map(b"".join)


@given(contents=st.lists(pieces, min_size=1, max_size=4), labels=st.integers(0, 2**24))
@settings(max_examples=50, deadline=None)
def test_any_content_comes_back(
    tmp_path_factory: pytest.TempPathFactory, contents: list[bytes], labels: int
) -> None:
    folder = tmp_path_factory.mktemp("rec")
    payloads = {key * 3: header(0, labels) + content for key, content in enumerate(contents)}
    with RecordFile(*write(folder, payloads)) as records:
        assert records.keys.tolist() == list(payloads)
        for key, content in enumerate(contents):
            assert records.content(key * 3) == content
            assert records.labels(key * 3).tolist() == [labels]
            assert records.flag(key * 3) == 0


def test_several_labels_follow_the_header(tmp_path: Path) -> None:
    payload = header(2, 99) + struct.pack("<2f", 4, 6) + b"jpg"
    with RecordFile(*write(tmp_path, {5: payload})) as records:
        assert records.flag(5) == 2
        assert records.labels(5).tolist() == [4, 6]
        assert records.content(5) == b"jpg"
        assert 5 in records
        assert 4 not in records
        assert 6 not in records
        with pytest.raises(DatasetError, match="no record 6"):
            records.content(6)


def test_an_index_of_another_file_is_noticed(tmp_path: Path) -> None:
    rec, idx = write(tmp_path, {0: header(0) + b"abcd", 1: header(0) + b"efgh"})
    idx.write_text("0\t4\n")
    with RecordFile(rec, idx) as records, pytest.raises(DatasetError, match="no whole record 0"):
        records.content(0)
    idx.write_text("0\t999\n")
    with pytest.raises(DatasetError, match="cut off"):
        RecordFile(rec, idx)
    for content in ("", "zero\tone\n", "1\n"):
        idx.write_text(content)
        with pytest.raises(DatasetError, match=r"x\.idx"):
            RecordFile(rec, idx)


def test_a_record_cut_short_is_noticed(tmp_path: Path) -> None:
    rec, idx = write(tmp_path, {0: header(0) + b"abcdefgh"})
    rec.write_bytes(rec.read_bytes()[:-2])
    with RecordFile(rec, idx) as records, pytest.raises(DatasetError, match="no whole record"):
        records.content(0)
    rec, idx = write(tmp_path, {0: b"short"})
    with RecordFile(rec, idx) as records, pytest.raises(DatasetError, match="shorter than"):
        records.labels(0)
