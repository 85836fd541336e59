"""MATLAB structs, as the owners of CACD2000 and IMDB-WIKI ship their labels."""

from __future__ import annotations

import pickle
import subprocess
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy.io import loadmat

from agelens.errors import DatasetError, shortened

_OTHER_VERSION: Final = b"NotImplementedError"


def read_mat_struct(path: Path, name: str, fields: Sequence[str]) -> dict[str, NDArray[Any]]:
    """Fields of the 1 x 1 struct `name`, each flattened to [N]; cells stay objects.

    Raises:
        DatasetError: the file is MATLAB 7.3 (HDF5), damaged or no .mat at all; the struct
            or one of `fields` is absent; fields have different lengths.
    """
    found = _read_apart(path, name)
    if found.dtype.names is None or not found.size:
        raise DatasetError(f"{path} holds no struct {name!r}; is it another data set's .mat?")
    return _fields(path, found.flat[0], fields)


def _read_apart(path: Path, name: str) -> NDArray[Any]:
    """The variable `name`, read by another process: damage can end scipy's reader by a signal."""
    code = f"import sys; sys.path[:] = {sys.path!r}; from {__name__} import answer; answer()"
    command = [sys.executable, "-c", code, str(path), name]
    ran = subprocess.run(command, capture_output=True, check=False)  # noqa: S603 - our own code
    if _OTHER_VERSION in ran.stderr:
        raise DatasetError(
            f"{path} is a MATLAB 7.3 (HDF5) file; the owner's is version 5. Download the "
            "original again, or save it in MATLAB with save(..., '-v7')"
        )
    if ran.returncode:
        said = ran.stderr.decode(errors="replace").strip().rpartition("\n")[2]
        said = said or f"scipy's reader ended by signal {-ran.returncode}"
        raise DatasetError(f"{path} is damaged or no .mat file: {shortened(said, 300)}")
    found: NDArray[Any] = pickle.loads(ran.stdout)  # noqa: S301 - what `answer` wrote
    return found


def answer() -> None:
    """What the other process does: the variable is written to standard output, pickled."""
    path, name = sys.argv[1:]
    variables = loadmat(path, variable_names=[name])
    pickle.dump(variables.get(name, np.empty(0)), sys.stdout.buffer, protocol=5)


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
