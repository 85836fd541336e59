"""`agelens.recognition` in a notebook: verify, search and embed, and what they give."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import agelens.recognition
from agelens.errors import MissingDependencyError, UsageError
from agelens.recognition import embed, open_extractor, read_embeddings, search, verify
from agelens.recognition.embedding_table import EmbeddingTable


def test_every_public_name_is_there_and_none_is_a_module() -> None:
    for name in agelens.recognition.__all__:
        assert callable(getattr(agelens.recognition, name)), name
    assert {"verify", "search", "embed"} <= set(dir(agelens.recognition))


def test_importing_the_package_loads_nothing_heavy() -> None:
    code = (
        "import sys, agelens.recognition\n"
        "assert not {'torch', 'pandas', 'cv2', 'onnx'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_verdict_is_told_in_words_and_as_a_frame(
    heads: dict[str, Path], colour_card: Path
) -> None:
    verdict = verify(heads["grey"], heads["red"], extractor=colour_card, false_match_rate=0.02)
    assert verdict.decided_by.false_match_rate == 0.01
    assert repr(verdict).startswith("<Verdict: similarity 0.")
    assert "not the same person" in repr(verdict)
    frame = verdict.to_frame()
    assert frame["photo"].tolist() == [str(heads["grey"]), str(heads["red"])]
    assert (frame["low_years"] <= frame["estimate_years"]).all()
    assert "No proof of identity" in verdict._repr_html_()


def test_a_search_is_told_in_words_and_as_a_frame(
    heads: dict[str, Path], colour_card: Path
) -> None:
    counted: list[tuple[int, int]] = []
    found = search(
        heads["red"],
        heads["red"].parent,
        extractor=open_extractor(colour_card),
        top=2,
        progress=lambda done, photos: counted.append((done, photos)),
    )
    assert counted == [(5, 5)]
    assert found.to_frame()["rank"].tolist() == [1, 2]
    assert found.left_out == ("red.png",)
    assert found.to_frame()["photo"][0] == "two.png"
    assert repr(found).startswith("<Searched: 2 likest of 4 faces searched")
    assert "never proof" in found._repr_html_()


def test_photos_are_embedded_whatever_they_come_as(
    heads: dict[str, Path], colour_card: Path, tmp_path: Path
) -> None:
    extractor = open_extractor(colour_card)
    pixels = np.asarray(Image.open(heads["grey"]))
    one = embed(heads["grey"], extractor=extractor)
    assert one.frame["sample_id"].tolist() == [str(heads["grey"])]
    several = embed([pixels, Image.open(heads["red"]), str(heads["green"])], extractor=extractor)
    assert several.frame["status"].tolist() == ["ok"] * 3
    np.testing.assert_allclose(several.vectors[0], one.vectors[0], atol=1e-6)
    whole = embed(heads["grey"].parent, extractor=extractor)
    assert len(whole) == len(heads)
    assert "3 of 5 faces embedded by toy" in repr(whole)
    frame = whole.to_frame()
    assert frame["embedding"].isna().sum() == 2
    assert "sample_id" in whole._repr_html_()
    whole.write(tmp_path / "e.parquet")
    assert read_embeddings(tmp_path / "e.parquet").frame.equals(whole.frame)


def test_a_frame_of_labels_is_embedded_with_its_columns(
    heads: dict[str, Path], colour_card: Path
) -> None:
    labels = pd.DataFrame(
        {"sample_id": ["a"], "dataset": "x", "path": "two.png", "camera": "old", "age_years": 3.0}
    ).assign(age_kind="real")
    found: EmbeddingTable = embed(
        labels, root=heads["two"].parent, extractor=colour_card, face="largest"
    )
    assert found.frame["camera"].tolist() == ["old"]
    assert found.frame["faces"].tolist() == [2]
    with pytest.raises(UsageError, match="--root"):
        embed(labels, extractor=colour_card)


def test_a_packaged_extractor_without_its_package_names_the_extra(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("agelens.recognition.extractors.find_spec", lambda _: None)
    with pytest.raises(MissingDependencyError, match=r"agelens\[identity\]"):
        open_extractor("dlib-resnet29")
