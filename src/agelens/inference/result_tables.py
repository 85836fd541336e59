"""Results as flat tables, one row a face: CSV and Parquet."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Iterator
from itertools import chain, islice
from pathlib import Path
from typing import Any, Final

_LANDMARKS: Final = ("eye_left", "eye_right", "nose", "mouth_left", "mouth_right")
_ROWS_AT_A_TIME: Final = 8192

# Column and type; every run has all of them, empty where they do not apply.
COLUMNS: Final[dict[str, type]] = {
    "photo": str,
    "frame": int,
    "time_seconds": float,
    "status": str,
    "message": str,
    "faces": int,
    "face": int,
    **{f"box_{corner}": float for corner in ("x1", "y1", "x2", "y2")},
    **{f"{point}_{axis}": float for point in _LANDMARKS for axis in "xy"},
    "detection_score": float,
    "inter_eye_px": float,
    "sharpness": float,
    "exposure": float,
    "roll_degrees": float,
    "yaw_proxy": float,
    "refer": str,
    "age_years": float,
    "median_years": float,
    "low_years": float,
    "high_years": float,
    "interval_level": float,
    "coverage": float,
    "gender": str,
    "gender_score": float,
    "track": int,
    "track_frames": int,
    "track_age_years": float,
    "track_low_years": float,
    "track_high_years": float,
    "model": str,
    "detector": str,
    "agelens_version": str,
}


def flatten(row: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The table rows of one result: one a face, or one where there is no face."""
    whole = {k: v for k, v in row.items() if k != "faces"} | {"faces": len(row["faces"])}
    if not row["faces"]:
        yield whole
    for index, face in enumerate(row["faces"]):
        flat = whole | {"face": index}
        flat |= {name: value for name, value in face.items() if name in COLUMNS}
        flat |= dict(zip(("box_x1", "box_y1", "box_x2", "box_y2"), face["box_xyxy"], strict=True))
        for point, (x, y) in zip(_LANDMARKS, face["landmarks"], strict=True):
            flat |= {f"{point}_x": x, f"{point}_y": y}
        flat |= face["quality"]
        if "track" in face:
            track = face["track"]
            flat |= {f"track_{name}": value for name, value in track.items() if name != "track"}
            flat["track"] = track["track"]
        flat |= {f"p_{age:03d}": p for age, p in enumerate(face.get("distribution", ()))}
        yield flat


def write_csv(results: Iterable[dict[str, Any]], path: Path) -> None:
    """Write results as UTF-8 CSV, empty cells for what does not apply."""
    rows, columns = _with_columns(results)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns, restval="")
        writer.writeheader()
        writer.writerows(rows)


def write_parquet(results: Iterable[dict[str, Any]], path: Path) -> None:
    """Write results as Parquet, nulls for what does not apply; memory stays flat."""
    import pyarrow as pa  # noqa: PLC0415 - 0.2 s that only this format needs
    import pyarrow.parquet as pq  # noqa: PLC0415

    arrow = {str: pa.string(), int: pa.int64(), float: pa.float64()}
    rows, columns = _with_columns(results)
    schema = pa.schema([(name, arrow[kind]) for name, kind in columns.items()])
    with pq.ParquetWriter(path, schema) as writer:
        while batch := list(islice(rows, _ROWS_AT_A_TIME)):
            writer.write_batch(pa.RecordBatch.from_pylist(batch, schema))


def _with_columns(
    results: Iterable[dict[str, Any]],
) -> tuple[Iterator[dict[str, Any]], dict[str, type]]:
    """Flat rows and their columns; the first face tells whether distributions are there."""
    rows = (flat for result in results for flat in flatten(result))
    head: list[dict[str, Any]] = []
    for row in rows:
        head.append(row)
        if "age_years" in row:
            break
    ages = [name for name in head[-1] if name.startswith("p_")] if head else []
    return chain(head, rows), COLUMNS | dict.fromkeys(ages, float)


TABLE_WRITERS: Final[dict[str, Callable[[Iterable[dict[str, Any]], Path], None]]] = {
    ".csv": write_csv,
    ".parquet": write_parquet,
}
