"""Result rows on disk: streamed as they come, valid whenever the run is cut short.

JSON Lines are appended row by row. CSV and Parquet cannot be: their rows go to a journal
(`NAME.partial.jsonl`) first, and the file itself appears by one atomic rename when the
run ends or is interrupted. A journal, like a JSON Lines file, is what `--resume` reads.
"""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from glob import escape
from itertools import chain, islice
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Literal, Self, TypeAlias

import numpy as np

from agelens.atomic import atomic_file, locked
from agelens.errors import OutputError, UsageError
from agelens.foreign_files import decoding, no_formula, parse_json
from agelens.inference.answers import OutputSpec, survival_probabilities
from agelens.records import Floats

if TYPE_CHECKING:
    import pyarrow as pa

RAW_FIELDS: Final = (
    "raw_logits",
    "raw_probas",
    "threshold",
    "thresholded_probas",
    "result_value",
)
_DIGITS: Final = 6


def raw_fields(answer: Floats, spec: OutputSpec) -> dict[str, Any]:
    """What one face's answer [K - 1] says, step by step, as plain JSON types.

    `raw_logits` [K - 1] are the network's; of a face averaged with its mirror image, those
    of the mean probabilities. `raw_probas` [K - 1] are P(older than age k), and
    `thresholded_probas` [K - 1] is 1 where they exceed `threshold`. `result_value` is the age in
    years that so many ones lead to, a whole number where it is one: on the scale 16 to 70,
    twenty of them give 36.

    Raises:
        ValueError: the answers of `spec` are not ordinal logits.
    """
    if spec.kind != "ordinal-logits":
        raise ValueError(f"a {spec.kind} answer has no ordinal logits")
    older = survival_probabilities(answer[None], spec.link)[0]
    ones = (older > spec.threshold).astype(int)
    age = spec.scale.years[int(ones.sum())]
    return {
        "raw_logits": np.round(answer, _DIGITS).tolist(),
        "raw_probas": np.round(older, _DIGITS).tolist(),
        "threshold": spec.threshold,
        "thresholded_probas": ones.tolist(),
        "result_value": int(age) if age.is_integer() else age,
    }


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
    "visible_share": float,
    "dark_eyes": float,
    "mouth_edges": float,
    "bright_eyes": float,
    "refer": str,
    "estimate_years": float,
    "median_years": float,
    "low_years": float,
    "high_years": float,
    "interval": str,
    "interval_level": float,
    "coverage": float,
    "gender": str,
    "gender_score": float,
    "track": int,
    "track_frames": int,
    "track_estimate_years": float,
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
        landmarks = face["landmarks"] or [(None, None)] * len(_LANDMARKS)  # of an aligned chip
        for point, (x, y) in zip(_LANDMARKS, landmarks, strict=True):
            flat |= {f"{point}_x": x, f"{point}_y": y}
        flat |= face["quality"]
        if "track" in face:
            track = face["track"]
            flat |= {f"track_{name}": value for name, value in track.items() if name != "track"}
            flat["track"] = track["track"]
        flat |= {f"p_{age:03d}": p for age, p in enumerate(face.get("distribution", ()))}
        yield flat


def write_csv(results: Iterable[dict[str, Any]], path: Path) -> None:
    """Write results as UTF-8 CSV, empty cells for what does not apply.

    Text that a spreadsheet would take for a formula, as in a photo's name, gets an apostrophe
    before it.
    """
    rows, columns = _with_columns(results)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns, restval="")
        writer.writeheader()
        writer.writerows({name: no_formula(cell) for name, cell in row.items()} for row in rows)


def write_parquet(results: Iterable[dict[str, Any]], path: Path) -> None:
    """Write results as Parquet, nulls for what does not apply; memory stays flat."""
    import pyarrow as pa  # noqa: PLC0415 - 0.2 s that only this format needs
    import pyarrow.parquet as pq  # noqa: PLC0415

    rows, columns = _with_columns(results)
    schema = arrow_schema(columns)
    with pq.ParquetWriter(path, schema) as writer:
        while batch := list(islice(rows, _ROWS_AT_A_TIME)):
            writer.write_batch(pa.RecordBatch.from_pylist(batch, schema))


def arrow_schema(columns: Mapping[str, type]) -> pa.Schema:
    """The columns of results as Parquet has them."""
    import pyarrow as pa  # noqa: PLC0415 - as above

    arrow = {str: pa.string(), int: pa.int64(), float: pa.float64()}
    return pa.schema([(name, arrow[kind]) for name, kind in columns.items()])


def result_columns(ages: int = 0) -> dict[str, type]:
    """The columns of results, of which the last are a distribution over `ages` ages."""
    return COLUMNS | {f"p_{age:03d}": float for age in range(ages)}


def _with_columns(
    results: Iterable[dict[str, Any]],
) -> tuple[Iterator[dict[str, Any]], dict[str, type]]:
    """Flat rows and their columns; the first face tells whether distributions are there."""
    rows = (flat for result in results for flat in flatten(result))
    head: list[dict[str, Any]] = []
    for row in rows:
        head.append(row)
        if "estimate_years" in row:
            break
    ages = [name for name in head[-1] if name.startswith("p_")] if head else []
    return chain(head, rows), COLUMNS | dict.fromkeys(ages, float)


TABLE_WRITERS: Final[dict[str, Callable[[Iterable[dict[str, Any]], Path], None]]] = {
    ".csv": write_csv,
    ".parquet": write_parquet,
}


IfExists: TypeAlias = Literal["refuse", "resume", "overwrite"]

OUTPUT_SUFFIXES: Final = (".jsonl", *TABLE_WRITERS)
_JOURNAL_SUFFIX: Final = ".partial.jsonl"
_ANEW: Final = "It cannot be resumed: use --overwrite"


@dataclass(frozen=True, slots=True)
class DoneRow:
    """A row that an earlier run wrote whole; `end` is the offset of the byte after it."""

    row: dict[str, Any]
    end: int


def is_whole(path: Path) -> bool:
    """Whether `path` is a CSV or Parquet table that an earlier run has finished."""
    return path.suffix.lower() in TABLE_WRITERS and path.exists() and not _journal_of(path).exists()


class ResultFile:
    """The output of one run: `append` each row, then leave the `with` block.

    Args:
        path: ends in .jsonl, .csv or .parquet; its folder must exist.
        if_exists: what to do where an earlier run left rows.

    Raises:
        UsageError: an unknown suffix, no such folder, or rows exist and `if_exists` is
            ``refuse``; a finished table is to be resumed, see `is_whole`; or another run is
            writing there now.
        OutputError: the folder or the file cannot be written.
    """

    def __init__(self, path: Path, *, if_exists: IfExists = "refuse") -> None:
        self.path = path
        self._to_table = TABLE_WRITERS.get(path.suffix.lower())
        if path.suffix.lower() not in OUTPUT_SUFFIXES:
            raise UsageError(
                f"{path}: results are written as {', '.join(OUTPUT_SUFFIXES)}; "
                f"{path.suffix or 'no suffix'!r} is none of them"
            )
        if not path.parent.is_dir():
            raise UsageError(f"{path}: the folder {path.parent} does not exist; create it first")
        self.journal = _journal_of(path) if self._to_table else path
        if if_exists == "resume" and is_whole(path):
            raise UsageError(f"{path} is whole already; there is nothing to resume")
        if if_exists == "refuse" and (path.exists() or self.journal.exists()):
            left = path if path.exists() else self.journal
            raise UsageError(f"{left} exists already: choose --resume or --overwrite")
        busy = f"{path}: another agelens is writing it now; wait for it, or name another output"
        with ExitStack() as held:
            held.enter_context(locked(path.with_name(f".{path.name}.lock"), busy, of=path))
            try:
                self._file = held.enter_context(self.journal.open("ab", buffering=0))
            except OSError as error:
                raise OutputError(f"cannot write {self.journal}: {error.strerror}") from error
            self._held = held.pop_all()
        if if_exists != "resume":
            self.keep(0)
        for left in path.parent.glob(f".{escape(path.name)}.*.partial"):
            left.unlink(missing_ok=True)  # of a run that was killed while it wrote the table

    def done(self) -> Iterator[DoneRow]:
        """The whole rows that are there; what a kill tore at the end is left out.

        Raises:
            OutputError: a line is no row of results.
            UsageError: a row names its estimate `age_years`, as agelens once did.
        """
        end = 0
        with self.journal.open("rb") as file:
            for line in file:
                if not line.endswith(b"\n"):
                    return
                end += len(line)
                place = f"{self.journal}, the line at byte {end - len(line)}"
                with decoding(place, "a row of results", OutputError, advice=_ANEW):
                    row = parse_json(line)
                    row["photo"], row["status"]  # what every row has
                    labelled = any("age_years" in face for face in row["faces"])
                if labelled:
                    raise UsageError(
                        f"{self.journal} was made by an agelens that wrote estimates as age_years, "
                        "a word for labels; this one writes estimate_years. Use --overwrite, or "
                        "another output"
                    )
                yield DoneRow(row, end)

    def keep(self, end: int) -> None:
        """Cut off everything after byte `end`; rows are appended from there."""
        self._file.truncate(end)
        self._file.seek(end)

    def append(self, row: dict[str, Any]) -> None:
        """Write one row and hand it to the operating system at once.

        Raises:
            OutputError: no space, or another fault of the disk; the rows before this one
                stay whole.
        """
        line = json.dumps(row, ensure_ascii=False, allow_nan=False).encode() + b"\n"
        self._check_is_there()
        start = self._file.tell()
        try:
            written = self._file.write(line)
            if written < len(line):
                written += self._file.write(line[written:])
        except OSError as error:
            self._file.truncate(start)
            raise OutputError(
                f"cannot write {self.journal}: {error.strerror}. The rows before are kept: "
                "make room and go on with --resume"
            ) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None
    ) -> None:
        with self._held:  # until the table is there
            if kind is None:
                self._check_is_there()
                os.fsync(self._file.fileno())
            # A fault of the disk would only repeat itself; an interrupt still gets its table.
            if self._to_table and (kind is None or not issubclass(kind, OutputError)):
                self._write_table()
        if self._to_table and kind is None:
            self.journal.unlink()

    def _check_is_there(self) -> None:
        """Refuse to write into a file that somebody has removed: its rows would be lost unseen."""
        try:
            if os.path.samestat(os.fstat(self._file.fileno()), self.journal.stat()):
                return
        except OSError:
            pass
        raise OutputError(
            f"{self.journal} was removed or replaced while it was being written, and its rows with "
            "it. Begin again, in a folder that stays"
        )

    def _write_table(self) -> None:
        assert self._to_table is not None  # noqa: S101 - the caller has asked
        advice = f"The rows are kept in {self.journal}: make room and go on with --resume"
        with (
            decoding(self.journal, "rows of results", OutputError, advice=_ANEW),
            atomic_file(self.path, advice=advice) as partial,
        ):
            self._to_table((done.row for done in self.done()), partial)


def _journal_of(path: Path) -> Path:
    return path.with_name(path.name + _JOURNAL_SUFFIX)
