"""Objects that remember their constructor's arguments, so that a configuration can name them.

A run made in Python leaves the same `config.yaml` as one made by the command: each object as
its class's import path and the arguments that it was constructed with.
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Mapping
from enum import Enum
from functools import wraps
from importlib import import_module
from typing import Any, Final

from agelens.errors import UsageError

_ARGUMENTS: Final = "constructor_arguments"
_VARIADIC: Final = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


class Recorded:
    """A class whose objects keep what they were constructed with in `constructor_arguments`."""

    constructor_arguments: dict[str, Any]

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if "__init__" in vars(cls):
            setattr(cls, "__init__", _recording(vars(cls)["__init__"]))  # noqa: B010 - typed


def _recording(construct: Callable[..., None]) -> Callable[..., None]:
    """`construct`, keeping its arguments; those of a base class are the subclass's matter."""
    signature = inspect.signature(construct)

    @wraps(construct)
    def recorded(self: Any, *given: Any, **named: Any) -> None:
        if _ARGUMENTS not in vars(self):
            bound = signature.bind(self, *given, **named)
            arguments = dict(list(bound.arguments.items())[1:])
            for name, parameter in signature.parameters.items():
                if parameter.kind is inspect.Parameter.VAR_KEYWORD:
                    arguments |= arguments.pop(name, {})
            vars(self)[_ARGUMENTS] = arguments
        construct(self, *given, **named)

    return recorded


def described(value: Any) -> Any:
    """`value` in plain types: an object as its ``class_path`` and ``init_args``.

    Raises:
        UsageError: an object whose class cannot be imported by name, or that neither is
            `Recorded` nor keeps its constructor's arguments as attributes of their names.
    """
    if isinstance(value, Enum | os.PathLike):
        return value.name if isinstance(value, Enum) else os.fspath(value)
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Mapping):
        return {str(name): described(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [described(one) for one in value]
    if inspect.isclass(value) or inspect.isroutine(value):
        return import_path(value)
    return {"class_path": import_path(type(value)), "init_args": arguments_of(value)}


def arguments_of(value: object) -> dict[str, Any]:
    """What `value` was constructed with, in plain types; raises as `described` does."""
    given = vars(value).get(_ARGUMENTS) if hasattr(value, "__dict__") else None
    if given is not None:
        return {name: described(one) for name, one in given.items()}
    return _read_back(value)


def import_path(named: Any) -> str:
    """Where the class or function `named` is imported from, as ``package.module.Name``.

    What a notebook defines is ``__main__.Name``, which only the notebook itself can import.

    Raises:
        UsageError: it is defined inside a function, or its name means something else by now.
    """
    path = f"{named.__module__}.{named.__qualname__}"
    if "<" in named.__qualname__:
        raise UsageError(
            f"{path} is defined inside a function, so that no configuration can name it: define "
            "it at the top level of a module or of a notebook's cell"
        )
    if imported(path) is not named:
        raise UsageError(
            f"{path} has been defined anew since this object was made of it: make the object again"
        )
    return path


def imported(path: str) -> Any:
    """What `path` names, such as ``package.module.Class``; None where there is nothing."""
    module, _, name = path.rpartition(".")
    try:
        return getattr(import_module(module), name, None)
    except (ImportError, ValueError):
        holder = imported(module) if module else None  # a class within a class
        return getattr(holder, name, None)


def _read_back(value: object) -> dict[str, Any]:
    """The arguments of an object that is not `Recorded`, read from its attributes.

    A constructor may keep something else than it was given (Lightning's EarlyStopping turns the
    sign of `min_delta`), so a second object is made of what was read, and has to be the same.
    """
    found = _attributes(value)
    if _attributes(type(value)(**found)) != found:
        raise UsageError(_not_kept(value, "its arguments as they were given"))
    return found


def _attributes(value: object) -> dict[str, Any]:
    found = {}
    for name, parameter in inspect.signature(type(value)).parameters.items():
        if parameter.kind in _VARIADIC:
            continue
        place = next((one for one in (name, f"_{name}") if hasattr(value, one)), None)
        if place is None:
            raise UsageError(_not_kept(value, f"its argument {name!r}"))
        found[name] = described(getattr(value, place))
    return found


def _not_kept(value: object, what: str) -> str:
    kind = type(value).__name__
    return (
        f"a {kind} does not keep {what}, so that it cannot be written into config.yaml: let "
        f"{kind}, or a class of yours that inherits from it, inherit from "
        "agelens.recorded.Recorded too"
    )
