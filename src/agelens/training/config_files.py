"""Configuration files that build on others, and names that registries know.

A file may name others that it is based on (`base`, relative to itself); what it says itself
counts more, and what is said later counts more still: files in the order given, then
options. Methods, optimisers and schedules go by the names in their registries.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from jsonargparse import get_loader

from agelens.errors import UnknownNameError, UsageError
from agelens.models.methods import METHODS
from agelens.training.optimizers import OPTIMIZERS
from agelens.training.schedules import SCHEDULES

BASE: Final = "base"
REGISTRIES: Final[dict[str, dict[str, str]]] = {
    "method": METHODS,
    "optimizer": OPTIMIZERS,
    "schedule": SCHEDULES,
}


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


def named_arguments(arguments: Sequence[str]) -> list[str]:
    """`arguments` with registry names spelled out: ``--method dldl-v2``."""
    spelled = list(arguments)
    for place, argument in enumerate(arguments):
        option, equals, value = argument.partition("=")
        group = option.removeprefix("--")
        if group not in REGISTRIES or option == group:
            continue
        if equals:
            spelled[place] = f"{option}={class_path(group, value)}"
        elif place + 1 < len(arguments):
            spelled[place + 1] = class_path(group, arguments[place + 1])
    return spelled


def class_path(group: str, name: str) -> str:
    """The import path of the class called `name` in a group's registry, or `name` if it is one.

    Raises:
        UnknownNameError: it is neither.
    """
    registry = REGISTRIES[group]
    if name in registry:
        return registry[name].replace(":", ".")
    if "." in name or name.lstrip().startswith("{"):
        return name
    raise UnknownNameError(group, name, registry)


def _read(path: Path, above: tuple[Path, ...]) -> dict[str, Any]:
    if path.resolve() in above:
        raise UsageError(f"{path} is based on itself")
    try:
        document = get_loader("yaml")(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"cannot read the configuration {path}: {error}") from error
    except Exception as error:
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
    return merged(whole, _spelled(own))


def _spelled(document: Mapping[str, Any]) -> dict[str, Any]:
    spelled = dict(document)
    for group in REGISTRIES.keys() & document.keys():
        value = document[group]
        if isinstance(value, str):
            spelled[group] = {"class_path": class_path(group, value)}
        elif isinstance(value, Mapping) and "class_path" in value:
            spelled[group] = {**value, "class_path": class_path(group, value["class_path"])}
    return spelled
