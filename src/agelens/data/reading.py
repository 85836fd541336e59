"""`read_dataset`: whatever labelled photos come in, as one sample table that knows its root."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeAlias

import pandas as pd

from agelens.data.calling import call_with_options
from agelens.data.datasets import DATASETS, dataset_reader
from agelens.data.formats import FORMATS, read_mapped
from agelens.errors import UnknownNameError, UsageError
from agelens.tables import REQUIRED, AgeKind, ColumnMapping, SampleTable, read_table
from agelens.tables.files import read_frame

Folder: TypeAlias = str | Path
Source: TypeAlias = str | Path | pd.DataFrame | Callable[..., Any]

_TABLES = (".parquet", ".csv", ".tsv", ".txt")


def read_dataset(
    source: Source,
    folder: Folder | None = None,
    *,
    columns: ColumnMapping | None = None,
    dataset: str | None = None,
    age_kind: AgeKind | None = None,
    **options: Any,
) -> SampleTable:
    """Labelled photos as a sample table, which remembers where its pictures are.

    >>> read_dataset("utkface", "downloads/UTKFace")  # doctest: +SKIP
    SampleTable(23,708 samples of utkface; estimated ages 0 to 116)
    >>> read_dataset("people.csv", columns={"age_years": "Age", "path": "file"})  # doctest: +SKIP

    Args:
        source: a dataset's name of `DATASETS`; a reader of one's own, from a folder to a
            `SampleTable`, a frame, or columns by name; the name of an interchange format of
            `FORMATS`; or one's own data: a CSV, a Parquet file or a frame.
        folder: the downloaded dataset; for a format, its list, whose pictures are below `root`
            of `options`. For own data the folder that its paths are below (`root` says the same),
            by default that of the file.
        columns: for own data, from a sample table's columns to the file's: `path` and, as far
            as known, `age_years`, `gender`, `subject` and so on. A column of codes is a pair of
            its name and the meaning of the codes.
        dataset: a name for own data; whose pictures a list is of.
        age_kind: of all ages of own data or a list, where it is known.
        options: further arguments of the reader.

    Raises:
        UnknownNameError: `source` is neither a name nor a file.
        UsageError: an argument is missing, or does not go with this source.
        DatasetError: the folder or file is not as its owner publishes it.
        TableError: values that do not fit their columns; all are told at once, with rows.
    """
    given = {"columns": columns, "dataset": dataset, "age_kind": age_kind}
    options |= {name: value for name, value in given.items() if value is not None}
    if callable(source):
        return _from_reader(source, folder, options)
    if isinstance(source, pd.DataFrame) or Path(source).suffix.lower() in _TABLES:
        return _own(source, folder, options)
    name = str(source)
    if name in FORMATS:
        if folder is None:
            raise UsageError(f"{name} is a format of lists: give the file or folder of the list")
        return _from_list(name, folder, options)
    if name not in DATASETS and not {".", ":"} & {*name}:
        hint = " A CSV or Parquet file works too, and so does a reader of your own."
        raise UnknownNameError("dataset or format", name, [*DATASETS, *FORMATS], hint)
    return _from_reader(dataset_reader(name), folder, options)


def sample_table_of(read: object, dataset: str) -> SampleTable:
    """What a reader of one's own returned, as a table: one already, a frame, or columns.

    A frame may leave out `sample_id` and `dataset`.

    Raises:
        UsageError: it is something else.
        TableError: the columns do not fit.
    """
    if isinstance(read, SampleTable):
        return read
    if isinstance(read, Mapping):
        read = pd.DataFrame(read)
    if isinstance(read, pd.DataFrame):
        if set(REQUIRED) <= {*read.columns}:
            return SampleTable.from_columns(read)
        return read_mapped(read, dataset=dataset)
    raise UsageError(
        f"a reader gives a SampleTable, a frame, or columns by name, not {type(read).__name__}"
    )


def _from_reader(
    reader: Callable[..., Any], folder: Folder | None, options: Mapping[str, Any]
) -> SampleTable:
    name = getattr(reader, "__name__", type(reader).__name__)
    if folder is None:
        raise UsageError(f"{name} reads a folder: give the one that was downloaded")
    read = call_with_options(reader, [folder], options)
    return sample_table_of(read, name.removeprefix("read_")).with_root(folder)


def _from_list(source: str, path: Folder, options: dict[str, Any]) -> SampleTable:
    root = options.pop("root", None)
    if source == "mapped":
        return _own(path, root, options)
    table: SampleTable = call_with_options(FORMATS[source].read, [path], options)
    if root is None and source == "iefp":  # the pictures themselves
        root = path
    return table if root is None else table.with_root(root)


def _own(
    source: Folder | pd.DataFrame, folder: Folder | None, options: dict[str, Any]
) -> SampleTable:
    if given := options.pop("root", None):
        if folder is not None:
            raise UsageError(f"two folders for the pictures: {folder}, and root {given}; give one")
        folder = given
    root = folder
    if not isinstance(source, pd.DataFrame):
        frame = read_frame(Path(source))
        if not options and set(REQUIRED) <= {*frame.columns}:  # a sample table already
            read = read_table(source, extra=None)
            return read if folder is None else read.with_root(folder)
        root = Path(source).parent if folder is None else folder
    table: SampleTable = call_with_options(read_mapped, [source], options | {"root": root})
    return table if root is None else table.with_root(root)
