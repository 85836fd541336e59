"""Pair lists: found, counted, never shortened in silence."""

from __future__ import annotations

from pathlib import Path

import pytest

from agelens.data.datasets.pairs import read_pair_list
from agelens.errors import DatasetError


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "img").mkdir()
    for name in ("a.JPG", "b.jpg", "c.jpg"):
        (tmp_path / "img" / name).write_bytes(b"")
    return tmp_path


def test_a_plain_list_in_both_codes(root: Path) -> None:
    path = root / "pairs.txt"
    path.write_text("a.jpg b.jpg 1\nb.jpg c.jpg 0\r\na.jpg x.jpg -1\ny.jpg x.jpg 1\n")
    pairs = read_pair_list(path, root, "img", folds=2)
    assert pairs.frame["same"].tolist() == [True, False, False, True]
    assert pairs.frame["fold"].tolist() == [0, 0, 1, 1]
    assert pairs.frame["path_a"].tolist() == ["img/a.JPG", "img/b.jpg", "img/a.JPG", "img/y.jpg"]
    assert pairs.missing == ("img/x.jpg", "img/y.jpg")
    assert pairs.frame["issue"].iloc[3] == "file absent: img/y.jpg, img/x.jpg"
    assert len(pairs.usable) == 2
    assert len(pairs) == 4


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a.jpg b.jpg\n", "line 1: expected"),
        ("a.jpg b.jpg 1\na.jpg b.jpg yes\n", "line 2: expected"),
        ("a.jpg b.jpg 1\n" * 3, "3 pairs do not divide into 2 folds"),
    ],
)
def test_another_kind_of_list_is_refused(root: Path, text: str, message: str) -> None:
    (root / "pairs.txt").write_text(text)
    with pytest.raises(DatasetError, match=message):
        read_pair_list(root / "pairs.txt", root, "img", folds=2)
