"""A shard: an Arrow stream that the package `datasets` opens as it is.

Its columns are those of the sample table, box, roll and landmarks replaced by the chosen
face's; then what became of the row; then the encoded chip.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
import pyarrow as pa

from agelens.data.formats.ldl import ROTATED_BOX
from agelens.data.store.outcomes import Outcome
from agelens.errors import DatasetError
from agelens.records import Floats
from agelens.tables import BOX, COLUMNS, LANDMARKS, YEARS

PIXELS: Final = (*BOX, "roll_degrees", *LANDMARKS)
IMAGE: Final = "image"
OUTCOME_TYPES: Final = {
    "status": "string",
    "message": "string",
    "detection_score": "float32",
    "faces": "int32",
    **dict.fromkeys(ROTATED_BOX, "float32"),
}
_SMALL_INTEGERS: Final = ("photo_year", "fold")


@lru_cache(maxsize=1)
def schema() -> pa.Schema:
    """Arrow's schema of a shard, with the note that makes `datasets` decode the chips."""
    from datasets import Features, Image, Value  # noqa: PLC0415 - takes seconds; readers need none

    types = dict.fromkeys(COLUMNS, "string")
    types |= dict.fromkeys(YEARS, "float64") | dict.fromkeys(PIXELS, "float32")
    types |= dict.fromkeys(_SMALL_INTEGERS, "int16") | OUTCOME_TYPES
    features = {name: Value(dtype) for name, dtype in types.items()}
    return Features(features | {IMAGE: Image()}).arrow_schema


def shard_content(labels: pd.DataFrame, outcomes: Sequence[Outcome]) -> bytes:
    """The file of one shard: `labels` are its rows of the sample table, with their outcomes.

    The same rows and outcomes give the same bytes.
    """
    columns: dict[str, Any] = {name: labels[name] for name in COLUMNS}
    columns |= dict(zip(PIXELS, _pixels(labels, outcomes).T, strict=True))
    columns |= _outcome_columns(outcomes)
    arrays = [_array(columns[field.name], field) for field in schema() if field.name != IMAGE]
    batch = pa.record_batch([*arrays, _chips(outcomes)], schema=schema())
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, schema()) as writer:
        writer.write_batch(batch)
    content: bytes = sink.getvalue().to_pybytes()
    return content


def open_shard(path: Path) -> pa.Table:
    """The rows of a shard, mapped into memory rather than read.

    Raises:
        DatasetError: it cannot be opened, or is no shard.
    """
    try:
        with pa.memory_map(str(path)) as file, pa.ipc.open_stream(file) as stream:
            table = stream.read_all()
    except (OSError, pa.ArrowException) as error:
        raise DatasetError(f"{path}: cannot be opened as a shard of chips ({error})") from error
    missing = {*COLUMNS, *OUTCOME_TYPES, IMAGE}.difference(table.column_names)
    if missing:
        raise DatasetError(f"{path}: is no shard of chips, it lacks {', '.join(sorted(missing))}")
    return table


def _array(values: Any, field: pa.Field) -> pa.Array:
    """Missing values of any kind become nulls, categories words.

    By way of plain objects: how a column lies in memory, which differs between a table that
    was read and one that was made, would else show in the file's bytes.
    """
    objects = pd.Series(values).astype(object)
    return pa.array(objects.where(objects.notna(), None).tolist(), field.type)


def _pixels(labels: pd.DataFrame, outcomes: Sequence[Outcome]) -> Floats:
    """Box, roll and landmarks [N, 15]: those of the chosen face, else as labelled."""
    pixels = labels[list(PIXELS)].to_numpy(dtype=np.float64, copy=True)
    for row, outcome in enumerate(outcomes):
        face = outcome.face
        if face is not None:
            pixels[row] = [*face.box_xyxy, face.roll_degrees, *face.landmarks.ravel()]
    return pixels


def _outcome_columns(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    nowhere = np.full(4, np.nan)
    rotated = [nowhere if o.rotated_xyxy is None else o.rotated_xyxy for o in outcomes]
    return {
        "status": [o.status for o in outcomes],
        "message": [o.message for o in outcomes],
        "detection_score": np.array([o.face.score if o.face else np.nan for o in outcomes]),
        "faces": [o.faces for o in outcomes],
        **dict(zip(ROTATED_BOX, np.stack(rotated).T, strict=True)),
    }


def _chips(outcomes: Sequence[Outcome]) -> pa.Array:
    encoded = pa.array([o.chip for o in outcomes], pa.binary())
    return pa.StructArray.from_arrays(
        [encoded, pa.nulls(len(outcomes), pa.string())],
        names=["bytes", "path"],
        mask=pa.array([o.chip is None for o in outcomes]),
    )
