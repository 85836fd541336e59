"""Packages whose public names are imported on first use, so that importing one stays light.

A package's `__init__` says where each of its names lives, and repeats the imports for type
checkers, which do not run it::

    from typing import TYPE_CHECKING

    from agelens.lazy import attach

    if TYPE_CHECKING:
        from agelens.evaluation.measuring import evaluate as evaluate

    __getattr__, __dir__, __all__ = attach(__name__, {"evaluate": "agelens.evaluation.measuring"})

A module directly inside the package must not bear one of these names: importing it would put the
module in the name's place.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any


def attach(
    package: str, homes: Mapping[str, str]
) -> tuple[Callable[[str], Any], Callable[[], list[str]], list[str]]:
    """`__getattr__`, `__dir__` and `__all__` of a package.

    Args:
        package: its dotted name, `__name__`.
        homes: the dotted module that each public name is imported from, on first use.
    """

    def load(name: str) -> Any:
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        found = getattr(import_module(homes[name]), name)
        setattr(sys.modules[package], name, found)  # the next use does not come here
        return found

    return load, lambda: sorted(homes), sorted(homes)
