"""Calling a reader, writer or protocol that was chosen by name with the options that were given."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from agelens.errors import UsageError


def call_with_options(
    function: Callable[..., Any], values: Sequence[Any], options: Mapping[str, Any]
) -> Any:
    """Call `function` with those of `options` that are not None.

    Raises:
        UsageError: it does not take one of them, or needs one that is not there.
    """
    given = {name: value for name, value in options.items() if value is not None}
    parameters = list(inspect.signature(function).parameters.values())[len(values) :]
    kind = inspect.Parameter
    takes = {one.name: one for one in parameters if one.kind is not kind.VAR_KEYWORD}
    what = getattr(function, "__name__", type(function).__name__)
    for name in given:
        if name not in takes and len(takes) == len(parameters):
            raise UsageError(
                f"{name} does not go with {what}, which takes {', '.join(takes) or 'nothing more'}"
            )
    lacking = [name for name, one in takes.items() if one.default is kind.empty]
    lacking = [name for name in lacking if name not in given]
    if lacking:
        raise UsageError(f"{what} also needs {', '.join(lacking)}")
    return function(*values, **given)
