"""insightface's .bin: read, and refused where it asks for more than data."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import numpy as np
import pytest

from agelens.data.datasets.verification_bin import read_verification_bin
from agelens.errors import DatasetError

PICTURES = [b"\xff\xd8a", b"\xff\xd8b", b"\xff\xd8c", b"\xff\xd8d"]


@pytest.mark.parametrize("protocol", [2, 4, 5])
@pytest.mark.parametrize("as_arrays", [False, True])
def test_pictures_and_pairs_come_back(tmp_path: Path, protocol: int, as_arrays: bool) -> None:
    path = tmp_path / "lfw.bin"
    stored = [np.frombuffer(p, np.uint8) for p in PICTURES] if as_arrays else PICTURES
    same = [np.True_, np.False_] if as_arrays else [True, False]
    path.write_bytes(pickle.dumps((stored, same), protocol=protocol))
    found = read_verification_bin(path)
    assert found.pictures == tuple(PICTURES)
    assert found.same.tolist() == [True, False]


def test_a_pickle_of_numpy_1_is_read(tmp_path: Path) -> None:
    path = tmp_path / "lfw.bin"
    arrays = [np.frombuffer(picture, np.uint8) for picture in PICTURES]
    now = pickle.dumps((arrays, [True, False]), protocol=2)
    assert b"numpy._core.multiarray" in now
    path.write_bytes(now.replace(b"cnumpy._core.multiarray\n", b"cnumpy.core.multiarray\n"))
    assert read_verification_bin(path).pictures == tuple(PICTURES)


class Hostile:
    """Unpickling it would make a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.folder),)


def test_a_hostile_pickle_is_refused_before_it_runs(tmp_path: Path) -> None:
    path = tmp_path / "lfw.bin"
    path.write_bytes(pickle.dumps(([Hostile(tmp_path / "made")], [True])))
    with pytest.raises(DatasetError, match=r"asks for \w+\.mkdir, which is not allowed"):
        read_verification_bin(path)
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "no verification set"),
        (b"\x80\x04garbage", "no verification set"),
        (pickle.dumps(7), "no verification set"),
        (pickle.dumps(([b"a", "text"], [True])), "a picture is str"),
        (pickle.dumps((PICTURES[:3], [True, False])), "3 pictures for 2 pairs"),
    ],
)
def test_damaged_files_are_named(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "lfw.bin"
    path.write_bytes(content)
    with pytest.raises(DatasetError, match=message):
        read_verification_bin(path)


def test_an_absent_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"gone\.bin"):
        read_verification_bin(tmp_path / "gone.bin")
