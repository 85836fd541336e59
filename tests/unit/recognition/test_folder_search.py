"""Searching a folder: what is found, what is kept, and what is read again."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from PIL.ExifTags import IFD, Base

from agelens.errors import PhotoError, TableError, UsageError
from agelens.imaging.detectors.retinaface import RetinaFace
from agelens.recognition.extractors import open_extractor
from agelens.recognition.face_embedder import FaceEmbedder
from agelens.recognition.face_index import FaceIndex, IndexChanges
from agelens.recognition.face_pictures import taken_at
from agelens.recognition.folder_search import FolderSearch, group_faces
from agelens.recognition.measured_rates import rates_of
from agelens.records import RGB


@pytest.fixture
def folder(heads: dict[str, Path], tmp_path: Path) -> Path:
    """Photos at two depths, one without a face, one damaged."""
    below = tmp_path / "photos" / "below"
    below.mkdir(parents=True)
    for name in ("grey", "two", "none"):
        shutil.copy(heads[name], below.parent)
    shutil.copy(heads["red"], below)
    (below / "broken.jpg").write_bytes(b"no photo")
    return below.parent


def searched(folder: Path, embedder: FaceEmbedder, index: Path | None = None) -> FolderSearch:
    return FolderSearch(FaceIndex(folder, embedder, index))


def test_the_person_is_found_and_nothing_is_kept(
    folder: Path, heads: dict[str, Path], colour_embedder: FaceEmbedder, tmp_path: Path
) -> None:
    before = sorted(folder.rglob("*"))
    lighter = tmp_path / "query.png"
    Image.fromarray(np.asarray(Image.open(heads["red"])) // 4 * 4).save(lighter)
    found = searched(folder, colour_embedder).search(lighter, top=2)
    assert {face.photo for face in found.found} == {"below/red.png", "two.png"}
    assert found.found[0].similarity == pytest.approx(1, abs=1e-3)
    assert 0 < found.found[0].face.estimate.estimate_years < 100
    assert not found.left_out
    assert [face.rank for face in found.found] == [1, 2]
    assert found.faces == 4
    assert found.statuses == {"no_face": 1, "unreadable": 1}
    assert found.expected_strangers == pytest.approx(4 * 0.0005)
    json.dumps(found.to_json(), allow_nan=False)
    assert sorted(folder.rglob("*")) == before


def test_a_query_that_the_edge_cuts_off_is_said(
    folder: Path, head: RGB, colour_embedder: FaceEmbedder
) -> None:
    search = searched(folder, colour_embedder)
    assert search.search(head).caution is None
    found = search.search(np.ascontiguousarray(head[:, 45:]))
    assert str(found.caution).endswith("% of the face is in the photo")
    assert "caution" in found.sentences()[0]


def test_an_index_reads_only_what_changed(
    folder: Path, heads: dict[str, Path], colour_embedder: FaceEmbedder, tmp_path: Path
) -> None:
    kept = tmp_path / "index"
    first = searched(folder, colour_embedder, kept).search(heads["red"])
    assert first.changes == IndexChanges(read=5, gone=0, kept=0)
    again = searched(folder, colour_embedder, kept).search(heads["red"])
    assert again.changes == IndexChanges(read=0, gone=0, kept=5)
    assert [one.to_json() for one in again.found] == [one.to_json() for one in first.found]
    (folder / "two.png").unlink()
    shutil.copy(heads["green"], folder / "grey.png")
    os.utime(folder / "grey.png", ns=(1, 1))
    shutil.copy(heads["grey"], folder / "new.png")
    third = searched(folder, colour_embedder, kept).search(heads["grey"])
    assert third.changes == IndexChanges(read=2, gone=1, kept=3)
    assert {face.photo for face in third.found} == {"grey.png", "below/red.png"}
    assert third.left_out == ("new.png",)
    fresh = searched(folder, colour_embedder).search(heads["grey"])
    assert {f.photo: f.similarity for f in third.found} == pytest.approx(
        {f.photo: f.similarity for f in fresh.found}
    )


def test_an_index_of_another_model_version_is_refused(
    folder: Path,
    heads: dict[str, Path],
    colour_embedder: FaceEmbedder,
    write_embedding_card: Callable[..., Path],
    tmp_path: Path,
) -> None:
    kept = tmp_path / "index"
    searched(folder, colour_embedder, kept).search(heads["red"])
    newer = open_extractor(write_embedding_card(tmp_path / "newer", version="2"))
    with pytest.raises(UsageError, match=r"built with the model toy 1.*has toy 2"):
        FaceIndex(folder, FaceEmbedder(newer, RetinaFace(), workers=1), kept)
    with pytest.raises(UsageError, match="built with the folder"):
        FaceIndex(folder / "below", colour_embedder, kept)


def test_files_that_are_no_index_are_left_alone(
    folder: Path, colour_embedder: FaceEmbedder, heads: dict[str, Path], tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match="is no index"):
        FaceIndex(folder, colour_embedder, folder)
    kept = tmp_path / "index"
    searched(folder, colour_embedder, kept).search(heads["red"])
    (kept / "faces.parquet").write_bytes(b"damaged")
    with pytest.raises(TableError, match="cannot be read"):
        FaceIndex(folder, colour_embedder, kept)
    (kept / "index.json").write_text("{")
    with pytest.raises(TableError, match="delete it"):
        FaceIndex(folder, colour_embedder, kept)


def test_a_stopped_run_is_gone_on_with(
    folder: Path,
    heads: dict[str, Path],
    colour_embedder: FaceEmbedder,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("agelens.recognition.face_index._AT_A_TIME", 2)
    seen = []

    def stop(done: int, photos: int) -> None:
        seen.append((done, photos))
        if done == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        searched(folder, colour_embedder, tmp_path / "i").search(heads["red"], progress=stop)
    assert seen == [(2, 5), (4, 5)]
    found = searched(folder, colour_embedder, tmp_path / "i").search(heads["red"])
    assert found.changes == IndexChanges(read=3, gone=0, kept=2)


def test_many_faces_go_into_faiss_and_come_out_alike(
    folder: Path,
    heads: dict[str, Path],
    colour_embedder: FaceEmbedder,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    kept = tmp_path / "index"
    exact = searched(folder, colour_embedder, kept).search(heads["red"], top=1)
    monkeypatch.setattr("agelens.recognition.face_index.EXACT_BELOW", 3)
    for _ in range(2):  # made, then read
        found = searched(folder, colour_embedder, kept).search(heads["red"], top=1)
        assert found.found[0].photo == exact.found[0].photo
        assert np.isclose(found.found[0].similarity, exact.found[0].similarity, atol=1e-5)
        assert (kept / "faces.faiss").is_file()
    (folder / "two.png").unlink()
    FaceIndex(folder, colour_embedder, kept).refresh()
    assert not (kept / "faces.faiss").exists(), "who was taken out must not stay in the lists"


def test_queries_and_folders_of_no_use_are_refused(
    folder: Path, heads: dict[str, Path], colour_embedder: FaceEmbedder, tmp_path: Path
) -> None:
    search = searched(folder, colour_embedder)
    with pytest.raises(PhotoError, match="no face found"):
        search.search(heads["none"])
    with pytest.raises(UsageError, match="2 faces found"):
        search.search(heads["two"])
    with pytest.raises(UsageError, match="1 or more"):
        search.search(heads["red"], top=0)
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match="no photos"):
        searched(tmp_path / "empty", colour_embedder).search(heads["red"])
    with pytest.raises(UsageError, match="is no folder"):
        searched(heads["red"], colour_embedder).search(heads["red"])


def test_the_command_prints_the_likest_faces(
    agelens: Callable[..., Any], folder: Path, heads: dict[str, Path], colour_card: Path
) -> None:
    ran = agelens("search", heads["red"], folder, "--extractor", colour_card, "--top", "1")
    assert ran.status == 0
    assert "the query itself is left out: below/red.png" in ran.out
    assert "3 faces searched; photos without: 1 no_face, 1 unreadable" in ran.out
    as_json = agelens("search", heads["red"], folder, "--extractor", colour_card, "--json")
    assert [face["rank"] for face in as_json.rows[0]["found"]] == [1, 2, 3]
    refused = agelens("search", heads["none"], folder, "--extractor", colour_card)
    assert (refused.status, refused.out) == (3, "")


def test_the_page_has_faces_by_rank_age_and_date_and_in_groups(
    agelens: Callable[..., Any], folder: Path, heads: dict[str, Path], colour_card: Path
) -> None:
    exif = Image.Exif()
    exif.get_ifd(IFD.Exif)[Base.DateTimeOriginal] = "1987:07:19 10:00:00"
    Image.open(heads["green"]).save(folder / "<b>dated.jpg", exif=exif, quality=95)
    page = folder.parent / "found"
    ran = agelens(
        "search", heads["red"], folder, "--extractor", colour_card, "-o", page, "--group"
    )  # fmt: skip
    assert ran.status == 0, ran.err
    assert "group 1: 2 faces" in ran.out
    html = (page / "index.html").read_text()
    assert "<h3>1987</h3>" in html
    assert "taken 1987-07-19" in html
    assert "&lt;b&gt;dated.jpg" in html
    assert "<b>dated" not in html
    assert "Do not use it to find, follow or name people" in html
    assert "Group 1: 2 faces" in html
    document = json.loads((page / "search.json").read_text())
    assert sorted(map(len, document["groups"])) == [1, 2, 2]
    assert document["found"][0]["taken"] in (None, "1987-07-19")
    assert document["left_out"] == ["below/red.png"]


@pytest.mark.parametrize("exif", [b"", b"Exif\0\0damaged", b"Exif\0\0MM\0*\0\0\0\x08\xff\xff"])
def test_a_damaged_date_is_none(exif: bytes, tmp_path: Path) -> None:
    Image.new("RGB", (8, 8)).save(tmp_path / "a.jpg", exif=exif)
    assert taken_at(tmp_path / "a.jpg") is None
    assert taken_at(tmp_path / "absent.jpg") is None


def test_groups_are_joined_while_faces_are_alike_on_average(colour_card: Path) -> None:
    rates = rates_of(open_extractor(colour_card))
    angles = np.array([0.0, 0.02, 1.0, 1.03, 1.01, 2.5])
    vectors = np.stack([np.cos(angles), np.sin(angles)], 1).astype(np.float32)
    assert group_faces(vectors, rates).tolist() == [1, 1, 0, 0, 0, 2]
    assert group_faces(vectors[:1], rates).tolist() == [0]
    assert group_faces(vectors[:0], rates).tolist() == []
    with pytest.raises(UsageError, match="too many to group"):
        group_faces(np.empty((20_000, 2), np.float32), rates)
