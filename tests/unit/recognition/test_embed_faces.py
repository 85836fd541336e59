"""Photos, tables and stores to tables of embeddings: labels carried, nothing dropped."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agelens.data.store import ChipStore
from agelens.errors import UsageError
from agelens.recognition.embed_faces import embed_photos, embed_samples, embed_store
from agelens.recognition.embedding_table import read_embeddings
from agelens.recognition.extractors import open_extractor
from agelens.recognition.face_embedder import FaceEmbedder, largest_face
from agelens.tables import BOX, SampleTable, write_table


def samples(heads: dict[str, Path]) -> SampleTable:
    names = [*heads, "absent"]
    boxes = np.full((len(names) + 1, 4), np.nan)
    boxes[-1], boxes[names.index("two")] = (100, 10, 190, 95), (0, 10, 90, 95)
    columns: dict[str, Any] = {
        "sample_id": [*names, "second of two"],
        "dataset": "heads",
        "path": [f"{name}.png" for name in [*names, "two"]],
        "subject": [*names, "red"],
        "age_years": 30.0,
        "age_kind": "real",
        **dict(zip(BOX, boxes.T, strict=True)),
    }
    return SampleTable.from_columns(columns)


def test_labels_are_carried_and_every_row_is_accounted_for(
    heads: dict[str, Path], colour_embedder: FaceEmbedder
) -> None:
    table = samples(heads)
    found = embed_samples(colour_embedder, table, str(heads["grey"].parent))
    frame = found.frame.set_index("sample_id")
    assert frame["subject"].tolist() == table.frame["subject"].tolist()
    assert frame["age_kind"].tolist() == ["real"] * len(table)
    assert frame["status"].to_dict() == {
        "grey": "ok", "red": "ok", "green": "ok", "two": "ok", "none": "no_face",
        "absent": "missing", "second of two": "ok",
    }  # fmt: skip
    assert frame["faces"].to_dict() | {"two": 2, "none": 0} == frame["faces"].to_dict()


def test_of_two_faces_the_labelled_one_is_embedded(
    heads: dict[str, Path], colour_embedder: FaceEmbedder
) -> None:
    found = embed_samples(colour_embedder, samples(heads), str(heads["grey"].parent))
    vector = dict(zip(found.frame["sample_id"], found.vectors, strict=True))
    alike = {name: float(vector["second of two"] @ vector[name]) for name in ("grey", "red", "two")}
    assert max(alike, key=alike.__getitem__) == "red"
    assert float(vector["two"] @ vector["grey"]) > float(vector["two"] @ vector["red"])


def test_loose_photos_with_two_faces_are_refused_unless_asked(
    heads: dict[str, Path], colour_embedder: FaceEmbedder
) -> None:
    photos = list(heads.items())
    refused = embed_photos(colour_embedder, photos)
    statuses = dict(zip(refused.frame["sample_id"], refused.frame["status"], strict=True))
    assert statuses["two"] == "several_faces"
    assert statuses["none"] == "no_face"
    assert embed_photos(colour_embedder, photos, choose=largest_face).has_embedding.sum() == 4


def test_a_store_is_embedded_row_for_row(
    bright_store: Callable[..., Path], write_embedding_card: Callable[..., Path], tmp_path: Path
) -> None:
    store = ChipStore.open(bright_store(tmp_path / "store", samples=6, size=16))
    as_shipped = {
        "size": 16, "color_order": "RGB", "mean": [0, 0, 0], "std": [255, 255, 255],
        "alignment": "as-shipped", "template": "as-shipped", "margin": 0.0,
    }  # fmt: skip
    card = write_embedding_card(tmp_path / "shipped", input=as_shipped)
    extractor = open_extractor(card)
    found = embed_store(extractor, store)
    assert found.frame["subject"].tolist() == ["s0", "s0", "s1", "s1", "s2", "s2"]
    chips = np.stack([store[row] for row in range(6)])
    np.testing.assert_allclose(found.vectors, extractor.embed(chips), atol=1e-6)


def test_a_store_of_other_chips_is_refused(
    bright_store: Callable[..., Path], colour_card: Path, tmp_path: Path
) -> None:
    store = ChipStore.open(bright_store(tmp_path / "store", samples=6, size=32))
    with pytest.raises(UsageError, match="size 32 instead of 16"):
        embed_store(open_extractor(colour_card), store)


def test_the_command_writes_a_table(
    agelens: Callable[..., Any], heads: dict[str, Path], colour_card: Path, tmp_path: Path
) -> None:
    write_table(samples(heads), tmp_path / "t.parquet")
    output = tmp_path / "e.parquet"
    arguments = [
        "identity", "embed", tmp_path / "t.parquet", "--root", heads["grey"].parent,
        "--extractor", colour_card, "--crops", "concatenated", "-o", output,
    ]  # fmt: skip
    ran = agelens(*arguments)
    assert ran.status == 3  # one photo is missing
    assert "5 ok, 1 missing, 1 no_face" in ran.out or "5 ok, 1 no_face, 1 missing" in ran.out
    assert "2 of the photos show several faces" in ran.out
    assert read_embeddings(output).model.dimension == 162
    again = agelens(*arguments)
    assert again.status == 2
    assert "exists" in again.err
    photos = agelens(
        "identity", "embed", heads["grey"], heads["two"], "--extractor", colour_card,
        "-o", tmp_path / "p.parquet",
    )  # fmt: skip
    assert photos.status == 0
    assert "1 several_faces" in photos.out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "required"),
        (["x.jpg", "--root", "photos"], "--root is for a table"),
        (["x.jpg", "-o", "e.csv"], r".parquet"),
    ],
)
def test_the_command_refuses_what_clashes(
    arguments: list[str],
    message: str,
    agelens: Callable[..., Any],
    colour_card: Path,
    tmp_path: Path,
) -> None:
    output = ("--extractor", colour_card, "-o", tmp_path / "e.parquet")
    ran = agelens("identity", "embed", *output, *arguments)
    assert ran.status == 2
    assert message in ran.err


def test_a_store_has_one_face_a_row(
    agelens: Callable[..., Any],
    bright_store: Callable[..., Path],
    colour_card: Path,
    tmp_path: Path,
) -> None:
    store = bright_store(tmp_path / "store", samples=6, size=16)
    words = ("--face", "largest", "--extractor", colour_card, "-o", tmp_path / "e.parquet")
    ran = agelens("identity", "embed", store, *words)
    assert ran.status == 2
    assert "a store has one face a row" in ran.err
