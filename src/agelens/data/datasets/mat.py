"""MATLAB structs, as the owners of CACD2000 and IMDB-WIKI ship their labels."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.io import loadmat
from scipy.io.matlab import MatReadError

from agelens.errors import DatasetError


def read_mat_struct(path: Path, name: str, fields: Sequence[str]) -> dict[str, NDArray[Any]]:
    """Fields of the 1 x 1 struct `name`, each flattened to [N]; cells stay objects.

    Raises:
        DatasetError: the file is MATLAB 7.3 (HDF5), damaged or no .mat at all; the struct
            or one of `fields` is absent; fields have different lengths.
    """
    try:
        variables = loadmat(path, variable_names=[name])
    except NotImplementedError as error:
        raise DatasetError(
            f"{path} is a MATLAB 7.3 (HDF5) file; the owner's is version 5. Download the "
            "original again, or save it in MATLAB with save(..., '-v7')"
        ) from error
    except (ValueError, TypeError, OSError, EOFError, MatReadError, zlib.error) as error:
        raise DatasetError(f"{path} is damaged or no .mat file: {error}") from error
    found = variables[name] if name in variables else np.empty(0)
    if found.dtype.names is None or not found.size:
        raise DatasetError(f"{path} holds no struct {name!r}; is it another data set's .mat?")
    return _fields(path, found.flat[0], fields)


def _fields(path: Path, struct: Any, fields: Sequence[str]) -> dict[str, NDArray[Any]]:
    missing = [field for field in fields if field not in struct.dtype.names]
    if missing:
        raise DatasetError(
            f"{path}: no field {', '.join(missing)}; found: {', '.join(struct.dtype.names)}"
        )
    columns = {field: np.ravel(struct[field]) for field in fields}
    lengths = {field: len(column) for field, column in columns.items()}
    if len(set(lengths.values())) > 1:
        raise DatasetError(f"{path}: fields differ in length: {lengths}")
    return columns


def cell_texts(cells: Iterable[Any]) -> list[str]:
    """The text in each cell, however many one-element arrays it is wrapped in; "" if empty."""
    return [str(_inner(cell)) for cell in cells]


def cell_numbers(cells: Iterable[Any]) -> NDArray[np.float64]:
    """The first number in each cell [N]; NaN where a cell is empty."""
    inner = [_inner(cell) for cell in cells]
    return np.array([np.nan if value == "" else value for value in inner], dtype=np.float64)


def _inner(cell: Any) -> Any:
    while isinstance(cell, np.ndarray):
        cell = cell.flat[0] if cell.size else ""
    return cell
