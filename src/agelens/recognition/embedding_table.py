"""The table of embeddings: one row a sample, whether or not it has a vector."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from html import escape
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias, get_args

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.dataset as pads
import pyarrow.parquet as pq
from numpy.typing import NDArray

from agelens.atomic import OUTPUTS, atomic_file
from agelens.errors import TableError, UsageError
from agelens.foreign_files import decoding, parse_json
from agelens.tables import COLUMNS, refuse
from agelens.tables.bulk_results import is_bulk_result, open_bulk_result
from agelens.tables.columns import as_categories
from agelens.tables.samples import cast_sample_column, may_repeat

Crops: TypeAlias = Literal["single", "concatenated", "added"]
CROPS: Final[tuple[str, ...]] = get_args(Crops)


Vectors: TypeAlias = NDArray[np.float32]


def l2_normalise(vectors: NDArray[np.floating[Any]]) -> Vectors:
    """Rows [N, D] scaled to length 1; rows of zeros, which have no direction, stay."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.where(lengths > 0, lengths, 1), dtype=np.float32)


@dataclass(frozen=True, slots=True)
class EmbeddingModel:
    """The network behind a table of embeddings, and how often it looked at each face.

    `sha256` is that of its weights. `dimension` is the length of a stored vector: twice the
    network's where `crops` says that the vectors of a chip and of its mirror image stand
    beside each other (``concatenated``), and the network's own where they are ``added``
    (Xie et al., TIFS 2022, test both).

    Raises:
        TableError: `crops` is none of `CROPS`, or `dimension` is below 1.
    """

    name: str
    version: str
    sha256: str
    dimension: int
    crops: Crops = "single"

    def __post_init__(self) -> None:
        if self.crops not in CROPS:
            raise TableError(f"crops must be one of {', '.join(CROPS)}, got {self.crops!r}")
        if self.dimension < 1:
            raise TableError(f"embeddings need 1 dimension or more, got {self.dimension}")

    def __str__(self) -> str:
        return f"{self.name} {self.version} ({self.crops}, {self.dimension}, {self.sha256[:12]})"


OK: Final = "ok"
EMBEDDING_COLUMNS: Final = ("sample_id", "dataset", "subject", "age_years", "path", "status")


def conformed(frame: pd.DataFrame) -> pd.DataFrame:
    """`frame` in the dtypes of the sample table, `EMBEDDING_COLUMNS` first, others as they are.

    Raises:
        TableError: a column of `EMBEDDING_COLUMNS` is missing, or a value does not fit.
    """
    missing = [name for name in EMBEDDING_COLUMNS if name not in frame]
    if missing:
        raise TableError(
            f"a table of embeddings needs the column{'s' * (len(missing) > 1)} "
            f"{', '.join(missing)}; it has {', '.join(map(str, frame.columns)) or 'none'}"
        )
    others = [name for name in frame.columns if name not in EMBEDDING_COLUMNS]
    frame = frame.reset_index(drop=True)
    return pd.DataFrame({name: _cast(frame[name]) for name in (*EMBEDDING_COLUMNS, *others)})


def check_columns(frame: pd.DataFrame) -> None:
    """What must hold of every row.

    Raises:
        TableError: a `sample_id` or a `status` is missing, or a `sample_id` repeats.
    """
    for name in ("sample_id", "status"):
        refuse(frame[name], frame[name].isna(), "is missing")
    ids = frame["sample_id"]
    if may_repeat(ids):
        refuse(ids, ids.duplicated(keep=False), "occurs more than once")


def _cast(values: pd.Series) -> pd.Series:
    if values.name == "status":
        return as_categories(values)
    return cast_sample_column(values) if values.name in COLUMNS else values


_UNIT_TOLERANCE: Final = 1e-3
_SHOWN: Final = 10


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class EmbeddingTable:
    """Embeddings beside the labels of their samples, checked.

    `frame` has `EMBEDDING_COLUMNS` in any order; what else it has is kept. `status` is ``ok``
    where there is an embedding and otherwise says why there is none (``no_face``, ...).
    `vectors` float32 [N, D] are rows of length 1, NaN throughout where there is none: such
    rows are counted, never dropped. `model` made them all.

    Raises:
        TableError: a column is missing; a value does not fit its column; a `sample_id`
            repeats; `vectors` has another shape than rows times `model.dimension`; a row is
            NaN beside the status ``ok``, or has a vector beside another one; or a vector is
            not of length 1.
    """

    frame: pd.DataFrame
    vectors: NDArray[np.float32]
    model: EmbeddingModel

    def __post_init__(self) -> None:
        object.__setattr__(self, "frame", conformed(self.frame))
        object.__setattr__(self, "vectors", np.asarray(self.vectors, dtype=np.float32))
        check_columns(self.frame)
        self._check_vectors()

    def __len__(self) -> int:
        return len(self.frame)

    @property
    def has_embedding(self) -> NDArray[np.bool_]:
        """Which rows [N] have a vector."""
        return (self.frame["status"] == OK).to_numpy(dtype=bool)

    def take(self, rows: NDArray[np.integer] | NDArray[np.bool_]) -> EmbeddingTable:
        """The table of these rows, by number or by mask."""
        return EmbeddingTable(self.frame.loc[rows], self.vectors[rows], self.model)

    def with_embedding(self) -> EmbeddingTable:
        """The rows that have a vector; count the others before you leave them behind."""
        return self.take(self.has_embedding)

    def to_frame(self) -> pd.DataFrame:
        """The labels with a column `embedding` of vectors [D], None where there is none."""
        there = self.has_embedding
        vectors = [row if found else None for row, found in zip(self.vectors, there, strict=True)]
        return self.frame.assign(**{VECTOR_COLUMN: pd.Series(vectors, self.frame.index, object)})

    def write(self, path: str | Path, *, overwrite: bool = False) -> None:
        """See `write_embeddings`."""
        write_embeddings(self, path, overwrite=overwrite)

    def __repr__(self) -> str:
        found = f"{int(self.has_embedding.sum()):,} of {len(self):,} faces"
        return f"<EmbeddingTable: {found} embedded by {self.model}>"

    def _repr_html_(self) -> str:
        return f"<p>{escape(repr(self))}</p>{self.frame.head(_SHOWN).to_html()}"

    def _check_vectors(self) -> None:
        expected = (len(self.frame), self.model.dimension)
        if self.vectors.shape != expected:
            raise TableError(
                f"embeddings of {self.model.name} must have the shape {expected}, "
                f"got {self.vectors.shape}"
            )
        status = self.frame["status"]
        lengths = np.sqrt(np.einsum("nd,nd->n", self.vectors, self.vectors))
        there = self.has_embedding
        refuse(status, there & ~np.isfinite(lengths), "stands beside no embedding")
        refuse(status, ~there & ~np.isnan(lengths), "stands beside an embedding")
        off = there & (np.abs(lengths - 1) > _UNIT_TOLERANCE)
        refuse(pd.Series(lengths, name="length"), off, "is not that of a normalised vector")


def same_model(first: EmbeddingTable, second: EmbeddingTable) -> None:
    """Make sure that one model made both tables.

    Raises:
        TableError: two did; the message names both.
    """
    if first.model != second.model:
        raise TableError(
            f"embeddings of two models cannot be compared: {first.model} and {second.model}. "
            "Embed both with one model (agelens identity embed)"
        )


VECTOR_COLUMN: Final = "embedding"
MODEL_KEY: Final = b"agelens.embedding_model"


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
    with atomic_file(path, "the embeddings") as partial:
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
    if not path.parent.is_dir():
        raise UsageError(f"{path.parent}: there is no such folder to write {path.name} into")
    OUTPUTS.claim(path)
    if path.exists() and not overwrite:
        raise UsageError(f"{path} exists; name another file")
    return path


def read_embeddings(path: str | Path) -> EmbeddingTable:
    """The embeddings at `path`, checked; see `write_embeddings`.

    Of a folder of ``agelens bulk --embeddings`` each row is a face, known by its photo and, where
    that has several, its number.

    Raises:
        TableError: there is no such file, it is damaged, no model stands in its schema, or
            what it holds is no `EmbeddingTable`.
    """
    path = Path(path)
    if is_bulk_result(path):
        return _of_bulk_run(path)
    if not path.is_file():
        raise TableError(f"there are no embeddings at {path}")
    with decoding(path, "embeddings", TableError):
        arrow = pq.read_table(path)
        arrow.validate(full=True)
    stated = (arrow.schema.metadata or {}).get(MODEL_KEY)
    if stated is None or VECTOR_COLUMN not in arrow.column_names:
        raise TableError(f"{path} is no file of embeddings: make one with agelens identity embed")
    with decoding(path, "embeddings", TableError):
        model = EmbeddingModel(**parse_json(stated))
        vectors = _vectors(arrow.column(VECTOR_COLUMN), model.dimension)
        return EmbeddingTable(arrow.drop_columns([VECTOR_COLUMN]).to_pandas(), vectors, model)


def bulk_vectors(folder: Path, dataset: pads.Dataset) -> tuple[Vectors, EmbeddingModel]:
    """The vector [N, D] of each row of a bulk run, NaN where there is no face, and their model.

    Args:
        folder: of the run, for messages.
        dataset: its results, see `open_bulk_result`.

    Raises:
        TableError: the run is damaged, or made none.
    """
    stated = (dataset.schema.metadata or {}).get(MODEL_KEY)
    if stated is None:
        raise TableError(f"{folder} was made without embeddings: agelens bulk --embeddings")
    with decoding(folder, "embeddings", TableError):
        model = EmbeddingModel(**json.loads(stated))
        column = dataset.to_table(columns=[VECTOR_COLUMN]).column(VECTOR_COLUMN)
        return _vectors(column, model.dimension), model


def _of_bulk_run(folder: Path) -> EmbeddingTable:
    dataset, further = open_bulk_result(folder)
    vectors, model = bulk_vectors(folder, dataset)
    labels = {name: column for name, column in further.items() if name in EMBEDDING_COLUMNS}
    own = [column for column in further.values() if column not in labels.values()]
    with decoding(folder, "embeddings", TableError):
        names = ["photo", "face", "faces", "status", *labels.values(), *own]
        frame = dataset.to_table(columns=names).to_pandas()
    for name in ("dataset", "subject", "age_years", "path"):
        column = labels.get(name, "photo" if name == "path" else None)
        frame[name] = None if column is None else frame[column]
    several = frame["faces"] > 1
    numbered = frame["photo"] + "#" + frame["face"].astype("Int64").astype("str")
    frame["sample_id"] = frame["photo"].mask(several, numbered)
    return EmbeddingTable(frame.drop(columns=["photo", "face"]), vectors, model)


def _to_arrow(table: EmbeddingTable) -> pa.Table:
    arrow = pa.Table.from_pandas(table.frame, preserve_index=False)
    values = pa.array(np.ascontiguousarray(table.vectors).reshape(-1))
    lists = pa.FixedSizeListArray.from_arrays(
        values, table.model.dimension, mask=pa.array(~table.has_embedding)
    )
    arrow = arrow.append_column(VECTOR_COLUMN, lists)
    stated = json.dumps(asdict(table.model)).encode()
    return arrow.replace_schema_metadata({**arrow.schema.metadata, MODEL_KEY: stated})


def _vectors(column: pa.ChunkedArray, dimension: int) -> NDArray[np.float32]:
    if column.type != pa.list_(pa.float32(), dimension):
        raise TableError(f"the column {VECTOR_COLUMN} is {column.type}, not {dimension} floats")
    vectors = np.full((len(column), dimension), np.nan, dtype=np.float32)
    there = column.is_valid().to_numpy()
    # flatten() leaves out what null entries hide.
    found = [chunk.flatten().to_numpy() for chunk in column.chunks]
    vectors[there] = np.concatenate([*found, np.empty(0, np.float32)]).reshape(-1, dimension)
    return vectors
