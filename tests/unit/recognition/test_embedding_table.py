"""Tables of embeddings: what they refuse, and that files give them back."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from agelens.errors import TableError, UsageError
from agelens.recognition.embedding_table import (
    EmbeddingModel,
    EmbeddingTable,
    check_output,
    read_embeddings,
    same_model,
    write_embeddings,
)

MODEL = EmbeddingModel("toy", "1", "ab" * 32, 4)


def table(**changed: object) -> EmbeddingTable:
    vectors = np.random.default_rng(0).normal(size=(4, 4)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    vectors[2] = np.nan
    frame = pd.DataFrame(
        {
            "sample_id": list("abcd"),
            "dataset": "toys",
            "subject": ["007", "007", "8", None],
            "age_years": [1.0, 2.5, 3.0, np.nan],
            "path": list("abcd"),
            "status": ["ok", "ok", "no_face", "ok"],
            "age_kind": ["real", "real", "real", None],
            "camera": ["x", None, "y", "z"],
        }
    )
    return EmbeddingTable(frame.assign(**changed), vectors, MODEL)


def test_a_file_gives_the_table_back(tmp_path: Path) -> None:
    written = table()
    write_embeddings(written, tmp_path / "e.parquet")
    read = read_embeddings(tmp_path / "e.parquet")
    pd.testing.assert_frame_equal(read.frame, written.frame)
    np.testing.assert_array_equal(read.vectors, written.vectors)
    assert read.model == MODEL
    assert not list(tmp_path.glob(".*"))


def test_an_empty_table_can_be_written(tmp_path: Path) -> None:
    empty = table().take(np.zeros(4, dtype=bool))
    write_embeddings(empty, tmp_path / "e.parquet")
    assert len(read_embeddings(tmp_path / "e.parquet")) == 0


def test_other_tools_see_no_vector_where_there_is_none(tmp_path: Path) -> None:
    write_embeddings(table(), tmp_path / "e.parquet")
    column = pq.read_table(tmp_path / "e.parquet").column("embedding")
    assert column.is_valid().to_pylist() == [True, True, False, True]


def test_rows_without_embedding_are_left_behind_only_when_asked() -> None:
    assert table().with_embedding().frame["sample_id"].tolist() == ["a", "b", "d"]


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"sample_id": ["a", "a", "c", "d"]}, "occurs more than once"),
        ({"status": ["ok", "ok", "ok", "ok"]}, "stands beside no embedding"),
        ({"status": ["ok", "no_face", "no_face", "ok"]}, "stands beside an embedding"),
        ({"status": ["ok", "ok", "no_face", None]}, "is missing"),
        ({"age_years": ["old", 1, 2, 3]}, "is not a number"),
    ],
)
def test_rows_that_contradict_themselves_are_refused(
    changed: dict[str, object], message: str
) -> None:
    with pytest.raises(TableError, match=message):
        table(**changed)


def test_a_missing_column_is_named() -> None:
    whole = table()
    with pytest.raises(TableError, match="needs the column subject"):
        EmbeddingTable(whole.frame.drop(columns="subject"), whole.vectors, MODEL)


def test_vectors_of_another_shape_or_length_are_refused() -> None:
    whole = table()
    with pytest.raises(TableError, match=r"must have the shape \(4, 4\)"):
        EmbeddingTable(whole.frame, whole.vectors[:, :3], MODEL)
    with pytest.raises(TableError, match="not that of a normalised vector"):
        EmbeddingTable(whole.frame, whole.vectors * 1.1, MODEL)


@pytest.mark.parametrize(
    "other",
    [
        replace(MODEL, version="2"),
        replace(MODEL, sha256="cd" * 32),
        replace(MODEL, name="other"),
        replace(MODEL, crops="added"),
    ],
)
def test_embeddings_of_two_models_are_not_mixed(other: EmbeddingModel) -> None:
    first = table()
    same_model(first, table())
    with pytest.raises(TableError, match="two models") as error:
        same_model(first, EmbeddingTable(first.frame, first.vectors, other))
    assert str(MODEL) in str(error.value)
    assert str(other) in str(error.value)


def test_unknown_crops_and_no_dimensions_are_refused() -> None:
    with pytest.raises(TableError, match="single, concatenated, added"):
        replace(MODEL, crops="double")  # type: ignore[arg-type]
    with pytest.raises(TableError, match="1 dimension or more"):
        replace(MODEL, dimension=0)


def test_a_file_that_is_there_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "e.parquet"
    write_embeddings(table(), path)
    with pytest.raises(UsageError, match="exists"):
        write_embeddings(table(), path)
    write_embeddings(table(), path, overwrite=True)
    with pytest.raises(TableError, match=r"ends in \.parquet"):
        write_embeddings(table(), tmp_path / "e.csv")


def test_a_folder_that_is_not_there_is_named_before_the_work(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such folder"):
        check_output(tmp_path / "absent" / "e.parquet")


def test_files_that_hold_no_embeddings_are_refused(tmp_path: Path) -> None:
    with pytest.raises(TableError, match="there are no embeddings"):
        read_embeddings(tmp_path / "none.parquet")
    (tmp_path / "bad.parquet").write_bytes(b"PAR1 no")
    with pytest.raises(TableError, match="cannot be read"):
        read_embeddings(tmp_path / "bad.parquet")
    table().frame.to_parquet(tmp_path / "labels.parquet")
    with pytest.raises(TableError, match="is no file of embeddings"):
        read_embeddings(tmp_path / "labels.parquet")
