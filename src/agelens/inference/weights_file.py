"""Where a card's weights lie, and whether they are the card's.

Weights in installed packages are read as files; the packages are never imported. The hash ties
weights to their card; it says nothing of whether whoever made both means well.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from agelens.errors import CardError

LARGEST_WEIGHTS: Final = 2**31
"""Bytes. The formats themselves hold no more (ONNX), or have no reason to (TorchScript)."""


def checked_weights(name: str, path: Path, sha256: str) -> bytes:
    """The bytes of the file at `path`, whose hash must be `sha256`.

    Args:
        name: of the network, for errors.
        path: of its weights.
        sha256: as its card states it, in lower case.

    Raises:
        CardError: see `Card.read_weights`.
    """
    try:
        size = path.stat().st_size
        if size > LARGEST_WEIGHTS:
            raise CardError(
                f"{name}: {path} has {size:,} bytes; agelens opens weights of at most "
                f"{LARGEST_WEIGHTS:,}"
            )
        content = path.read_bytes()
    except OSError as error:
        raise CardError(f"{name}: cannot read weights {path}: {error}") from error
    digest = hashlib.sha256(content).hexdigest()
    if digest != sha256:
        raise CardError(
            f"{name}: {path.name} is not the file its card describes: SHA-256 {digest}, expected "
            f"{sha256}. Get the weights that belong to the card, or the card that belongs to the "
            "weights."
        )
    return content


def locate_weights(section: Mapping[str, Any], path: Path) -> Path:
    """Where the weights lie: in an installed package, or beside the card and nowhere else.

    Args:
        section: `weights` of the card.
        path: of the card.

    Raises:
        CardError: the package is not installed.
        KeyError, ValueError: the section is malformed.
    """
    folder = path.parent
    if "package" in section:
        name = str(section["package"])
        if not name.isidentifier():  # of a dotted name, Python would import the first part
            raise ValueError(f"weights.package must be a top-level package, got {name!r}")
        spec = find_spec(name)
        if spec is None or not spec.submodule_search_locations:
            raise CardError(f"{path}: needs the package {section['package']!r}; install it")
        folder = Path(next(iter(spec.submodule_search_locations)))
    weights = (folder / str(section["path"])).resolve()
    if not weights.is_relative_to(folder.resolve()):
        raise ValueError(f"weights.path {section['path']!r} leads out of the card's folder")
    return weights
