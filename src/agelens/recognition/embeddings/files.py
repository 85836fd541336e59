"""Embeddings on disk: one Parquet file, which states the model that made them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from agelens.errors import TableError, UsageError
from agelens.recognition.embeddings.model import EmbeddingModel
from agelens.recognition.embeddings.table import EmbeddingTable
from agelens.whole_file import whole_file

VECTOR_COLUMN: Final = "embedding"
_MODEL_KEY: Final = b"agelens.embedding_model"


def write_embeddings(table: EmbeddingTable, path: str | Path, *, overwrite: bool = False) -> None:
    """Write `table` as `.parquet`; the file appears whole or not at all.

    The vectors are a column `embedding` of fixed-size lists of float32, null where there is
    none; the model stands as JSON in the schema's metadata.

    Raises:
        TableError: the suffix is another one.
        UsageError: see `check_output`.
        OutputError: the file cannot be written; what was there before is kept.
    """
    path = check_output(path, overwrite=overwrite)
    arrow = _to_arrow(table)
    # Neither a dictionary nor statistics help with numbers that never repeat.
    labels = [name for name in arrow.column_names if name != VECTOR_COLUMN]
    with whole_file(path, "the embeddings") as partial:
        pq.write_table(arrow, partial, use_dictionary=labels, write_statistics=labels)


def check_output(path: str | Path, *, overwrite: bool = False) -> Path:
    """`path` as a file that `write_embeddings` may write: ask before hours of work.

    Raises:
        TableError: the suffix is not `.parquet`.
        UsageError: `path` exists, and `overwrite` is not set; or its folder does not exist.
    """
    path = Path(path)
    if path.suffix.lower() != ".parquet":
        raise TableError(f"{path}: the name of a file of embeddings ends in .parquet")
    if path.exists() and not overwrite:
        raise UsageError(f"{path} exists; name another file")
    if not path.parent.is_dir():
        raise UsageError(f"{path.parent}: there is no such folder to write {path.name} into")
    return path


def read_embeddings(path: str | Path) -> EmbeddingTable:
    """The embeddings at `path`, checked; see `write_embeddings`.

    Raises:
        TableError: there is no such file, it is damaged, no model stands in its schema, or
            what it holds is no `EmbeddingTable`.
    """
    path = Path(path)
    if not path.is_file():
        raise TableError(f"there are no embeddings at {path}")
    try:
        arrow = pq.read_table(path)
    except (pa.ArrowException, OSError) as error:
        raise TableError(f"{path} cannot be read as embeddings: {error}") from error
    stated = (arrow.schema.metadata or {}).get(_MODEL_KEY)
    if stated is None or VECTOR_COLUMN not in arrow.column_names:
        raise TableError(f"{path} is no file of embeddings: make one with agelens identity embed")
    try:
        model = EmbeddingModel.from_json(json.loads(stated))
        vectors = _vectors(arrow.column(VECTOR_COLUMN), model.dimension)
        return EmbeddingTable(arrow.drop_columns([VECTOR_COLUMN]).to_pandas(), vectors, model)
    except (TableError, ValueError) as error:
        raise TableError(f"{path}: {error}") from error


def _to_arrow(table: EmbeddingTable) -> pa.Table:
    arrow = pa.Table.from_pandas(table.frame, preserve_index=False)
    values = pa.array(np.ascontiguousarray(table.vectors).reshape(-1))
    lists = pa.FixedSizeListArray.from_arrays(
        values, table.model.dimension, mask=pa.array(~table.has_embedding)
    )
    arrow = arrow.append_column(VECTOR_COLUMN, lists)
    stated = json.dumps(table.model.to_json()).encode()
    return arrow.replace_schema_metadata({**arrow.schema.metadata, _MODEL_KEY: stated})


def _vectors(column: pa.ChunkedArray, dimension: int) -> NDArray[np.float32]:
    if column.type != pa.list_(pa.float32(), dimension):
        raise TableError(f"the column {VECTOR_COLUMN} is {column.type}, not {dimension} floats")
    vectors = np.full((len(column), dimension), np.nan, dtype=np.float32)
    there = column.is_valid().to_numpy()
    # flatten() leaves out what null entries hide.
    found = [chunk.flatten().to_numpy() for chunk in column.chunks]
    vectors[there] = np.concatenate([*found, np.empty(0, np.float32)]).reshape(-1, dimension)
    return vectors
