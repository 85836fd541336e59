"""Pair lists are told by their first line; IEFP's layouts are read beside the owners'."""

from __future__ import annotations

from pathlib import Path

import pytest

from agelens.data.datasets.cacd_vs import cacd_vs_pairs, read_cacd_vs, read_cacd_vs_pairs
from agelens.data.datasets.calfw import read_calfw, read_calfw_pairs
from agelens.data.datasets.fgnet import read_fgnet
from agelens.data.datasets.morph2 import read_morph2
from agelens.errors import DatasetError
from agelens.recognition.protocols.published import read_pair_file


def touch(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"")
    return root


def test_lfws_form(tmp_path: Path) -> None:
    path = tmp_path / "pairs.txt"
    path.write_text("2\t1\nAnn\t1\t2\nAnn\t1\tBob\t3\nBob\t3\t4\nBob\t10\tAnn\t1\n")
    pairs = read_pair_file(path)
    assert pairs.names[:2] == (
        ("Ann/Ann_0001.jpg", "Ann/Ann_0002.jpg"),
        ("Ann/Ann_0001.jpg", "Bob/Bob_0003.jpg"),
    )
    assert pairs.same == (True, False, True, False)
    assert pairs.fold == (0, 0, 1, 1)


def test_calfws_form(tmp_path: Path) -> None:
    path = tmp_path / "pairs_CALFW.txt"
    same = [f"A_{i:04d}.jpg {i // 2 + 1}" for i in range(20)]
    path.write_text("\n".join([*same, *(f"B_{i:04d}.jpg 0" for i in range(20))]) + "\n")
    pairs = read_pair_file(path)
    assert pairs.names[0] == ("A_0000.jpg", "A_0001.jpg")
    assert pairs.same == (True,) * 10 + (False,) * 10
    assert pairs.fold == (*range(10), *range(10))


def test_iefps_form(tmp_path: Path) -> None:
    path = tmp_path / "CACD_VS_pairs_labels.txt"
    own = cacd_vs_pairs()
    lines = [f"{a} {b} {int(same)}" for (a, b), same in zip(own.names, own.same, strict=True)]
    path.write_text("\n".join(lines) + "\n")
    assert read_pair_file(path) == own
    touch(tmp_path / "CACD_VS", "processed_CACDVS_2/0000_0.jpg")
    assert len(read_cacd_vs(tmp_path)) == 1
    listed = read_cacd_vs_pairs(tmp_path, pairs=path)
    assert listed.frame.equals(read_cacd_vs_pairs(tmp_path).frame)
    assert listed.frame["path_a"].iloc[0] == "CACD_VS/processed_CACDVS_2/0000_0.jpg"


@pytest.mark.parametrize("text", ["a b c\n", "hello\n", "\n"])
def test_another_file_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "x.txt").write_text(text)
    with pytest.raises(DatasetError, match=r"x\.txt is no list of pairs"):
        read_pair_file(tmp_path / "x.txt")


@pytest.mark.parametrize("place", ["CALFW_img_pairs_labels.txt", "txts/CALFW_img_pairs_labels.txt"])
def test_iefps_copy_of_calfw(tmp_path: Path, place: str) -> None:
    root = touch(tmp_path / "CALFW", "processed_CALFW_2/Ann_Lee_0001.jpg", place)
    lines = [f"Ann_Lee_0001.jpg Bob_{n:04d}.jpg {n % 2}" for n in range(10)]
    (root / place).write_text("\n".join(lines) + "\n")
    assert read_calfw(tmp_path).frame["subject"].tolist() == ["Ann_Lee"]
    pairs = read_calfw_pairs(tmp_path)
    assert pairs.frame["path_a"].iloc[0] == "CALFW/processed_CALFW_2/Ann_Lee_0001.jpg"
    assert pairs.frame["fold"].tolist() == list(range(10))
    assert len(pairs.missing) == 10


@pytest.mark.parametrize("below", ["", "ID_processed_FGNET"])
def test_iefps_copy_of_fgnet(tmp_path: Path, below: str) -> None:
    touch(tmp_path / below, "001/001A02.jpg", "009/009A16b.jpg")
    frame = read_fgnet(tmp_path).frame
    assert frame["subject"].tolist() == ["001", "009"]
    assert frame["age_years"].tolist() == [2, 16]


def test_iefps_probes_and_gallery_of_morph(tmp_path: Path) -> None:
    root = touch(
        tmp_path / "ID_processed_morph2_2",
        "probe_3000/134083/134083_05M41.JPG",
        "gallery_3000/134083/134083_01M38.JPG",
    )
    probes, gallery = (read_morph2(root / part).frame for part in ("probe_3000", "gallery_3000"))
    assert probes["subject"].tolist() == gallery["subject"].tolist() == ["134083"]
    assert (probes["age_years"].iloc[0], gallery["age_years"].iloc[0]) == (41, 38)
    assert probes["sample_id"].iloc[0] != gallery["sample_id"].iloc[0]
