"""Configuration files that build on others.

A file may name others that it is based on (`base`, relative to itself); what it says itself
counts more, and what is said later counts more still: files in the order given, then
options.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from jsonargparse import get_loader
from yaml import YAMLError

from agelens.errors import UsageError
from agelens.training.registry_names import spelled_out

BASE: Final = "base"


def read_config(path: Path) -> dict[str, Any]:
    """The document at `path` over those it is based on, with registry names spelled out.

    Raises:
        UsageError: it cannot be read, is no mapping, or is based on itself.
        UnknownNameError: a name that is in no registry.
    """
    return _read(path, ())


def merged(lower: Mapping[str, Any], upper: Mapping[str, Any]) -> dict[str, Any]:
    """`upper` over `lower`, mapping by mapping; another class drops the old one's arguments."""
    if "class_path" in upper and upper["class_path"] != lower.get("class_path"):
        return dict(upper)
    both = dict(lower)
    for name, value in upper.items():
        under = both.get(name)
        both[name] = (
            merged(under, value)
            if isinstance(value, Mapping) and isinstance(under, Mapping)
            else value
        )
    return both


def _read(path: Path, above: tuple[Path, ...]) -> dict[str, Any]:
    if path.resolve() in above:
        raise UsageError(f"{path} is based on itself")
    try:
        document = get_loader("yaml")(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"cannot read the configuration {path}: {error}") from error
    except YAMLError as error:
        raise UsageError(f"{path} is no YAML: {error}") from error
    if document is None:
        document = {}
    if not isinstance(document, Mapping):
        raise UsageError(f"{path}: a configuration is a mapping, not {type(document).__name__}")
    own = {name: value for name, value in document.items() if name != BASE}
    bases = document.get(BASE, [])
    whole: dict[str, Any] = {}
    for base in [bases] if isinstance(bases, str) else bases:
        whole = merged(whole, _read(path.parent / base, (*above, path.resolve())))
    return merged(whole, spelled_out(own))
