"""Splits on disk: a CSV a part, the ages as a figure, and a report that owns up to leaks."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv as arrow_csv
from numpy.typing import NDArray

from agelens.atomic import atomic_folder
from agelens.data.splits.split import LeakReport, Split, check_leaks, describe_leaks
from agelens.errors import TableError
from agelens.foreign_files import decoding, json_object
from agelens.tables import YEARS, SampleTable
from agelens.tables.files import guarded, without_guards
from agelens.version import __version__


def save_age_histograms(
    ages: Mapping[str, NDArray[np.float64]], path: Path, *, title: str = ""
) -> None:
    """Draw one panel a part, one bar a year, as a PNG.

    The bars are shares of the part, on one scale, so that parts of different size compare.

    Args:
        ages: years of each part's samples, [n] with NaN where unknown.
        path: of the PNG.
        title: above the panels.
    """
    from agelens.evaluation.reports.plotting import panels, save  # noqa: PLC0415 - 0.3 s

    figure, axes = panels(1, rows=len(ages), row_inches=1.6, sharex=True, sharey=True)
    known = {part: years[np.isfinite(years)] for part, years in ages.items()}
    top = max((float(years.max(initial=0)) for years in known.values()), default=0.0)
    edges = np.arange(0, np.floor(top) + 2)
    for panel, (part, years) in zip(axes[:, 0], known.items(), strict=True):
        counts, _ = np.histogram(years, bins=edges)
        panel.stairs(counts / max(len(years), 1), edges, fill=True)
        unknown = len(ages[part]) - len(years)
        panel.set_title(f"{part}: {len(years):,} with an age, {unknown:,} without", fontsize=9)
        panel.set_ylabel("share")
    axes[-1, 0].set_xlabel("age in years")
    figure.suptitle(title)
    save(figure, path)


REPORT_NAME: Final = "split.json"
FIGURE_NAME: Final = "ages.png"
_COLUMNS: Final = (
    *("sample_id", "dataset", "path", *YEARS, "age_kind", "gender", "ethnicity", "subject"),
    "photo_year",
)
_ROWS_AT_A_TIME: Final = 500_000


def write_split(
    split: Split,
    table: SampleTable,
    folder: str | Path,
    *,
    duplicates: pd.Series | None = None,
    allow_leaks: bool = False,
) -> LeakReport:
    """Write one split into `folder`: `<part>.csv`, `ages.png` and `split.json`.

    The CSVs hold sample_id, dataset, path and all labels. The report
    has the counts, whether the split is subject-exclusive, its leaks and its notes. The folder
    appears whole or not at all.

    Args:
        split: of samples of `table`.
        table: labels and subjects.
        folder: must not exist, or be empty.
        duplicates: near-duplicate group by `sample_id`, as the audit finds them.
        allow_leaks: write a leaking split all the same; the report says so.

    Raises:
        LeakError: parts share a subject or a near-duplicate, and `allow_leaks` is not set.
        TableError: the split is of another table.
        UsageError: the folder holds something.
        OutputError: it cannot be written.
    """
    return write_splits([split], table, folder, duplicates=duplicates, allow_leaks=allow_leaks)[0]


def write_splits(
    splits: Sequence[Split],
    table: SampleTable,
    folder: str | Path,
    *,
    duplicates: pd.Series | None = None,
    allow_leaks: bool = False,
) -> list[LeakReport]:
    """Write the splits of a protocol, each into its own folder below `folder` if several.

    All are checked before the first is written. Arguments and errors are those of `write_split`.
    """
    with atomic_folder(Path(folder), "split") as partial:
        reports = [describe_leaks(split, table, duplicates) for split in splits]
        if not allow_leaks:
            check_leaks(reports)
        for split, report in zip(splits, reports, strict=True):
            _write(split, table, partial / split.name if len(splits) > 1 else partial, report)
    return reports


def read_split(folder: str | Path) -> Split:
    """The split that `write_split` put into `folder`; `codes_for` fits it to its table.

    Raises:
        TableError: there is no report or no CSV of one of its parts, or they were changed.
    """
    folder = Path(folder)
    report = json_object(folder / REPORT_NAME, TableError, what="a split that agelens wrote")
    with decoding(folder, "a split that agelens wrote", TableError):
        if paths := [part for part in report["samples"] if Path(part).name != part]:
            raise ValueError(f"part {paths[0]!r} leads out of the folder")
        parts = {part: _ids(folder / f"{part}.csv") for part in report["samples"]}
    counts = {part: len(ids) for part, ids in parts.items()}
    if counts != report["samples"]:
        raise TableError(f"{folder}: the parts have {counts} rows, not {report['samples']}")
    with decoding(folder, "a split that agelens wrote", TableError):
        split = Split.from_parts(report["split"], parts, protocol=report["protocol"])
        return replace(split, seed=report["seed"], notes=tuple(report["notes"]))


def _write(split: Split, table: SampleTable, folder: Path, report: LeakReport) -> None:
    folder.mkdir(exist_ok=True)
    codes = split.codes_for(table)
    ages = {}
    years = table.frame["age_years"].to_numpy()
    for code, part in enumerate(split.part_names):
        rows = np.flatnonzero(codes == code)
        _write_part(table.frame, rows, folder / f"{part}.csv")
        ages[part] = years[rows]
    title = f"{split.protocol} {split.name}".strip()
    save_age_histograms(ages, folder / FIGURE_NAME, title=title)
    text = json.dumps(_report(split, report), indent=2, ensure_ascii=False)
    (folder / REPORT_NAME).write_text(text + "\n", encoding="utf-8")


def _write_part(frame: pd.DataFrame, rows: np.ndarray[Any, Any], path: Path) -> None:
    columns = frame[list(_COLUMNS)]
    schema = pa.Schema.from_pandas(columns.iloc[:0], preserve_index=False).remove_metadata()
    with arrow_csv.CSVWriter(path, schema) as writer:
        for at in range(0, len(rows), _ROWS_AT_A_TIME):
            some = guarded(columns.iloc[rows[at : at + _ROWS_AT_A_TIME]])
            writer.write_table(pa.Table.from_pandas(some, schema, preserve_index=False))


def _report(split: Split, leaks: LeakReport) -> dict[str, Any]:
    return {
        "split": split.name,
        "protocol": split.protocol,
        "seed": split.seed,
        "samples": split.counts,
        **leaks.as_json(),
        "leaks_allowed": bool(leaks.leaks),
        "notes": list(split.notes),
        "agelens_version": __version__,
    }


def _ids(path: Path) -> pd.Series:
    text = pd.StringDtype("pyarrow")
    columns = pd.read_csv(
        path, usecols=["sample_id"], dtype=text, keep_default_na=False, index_col=False
    )
    return without_guards(columns)["sample_id"]
