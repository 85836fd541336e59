"""Where methods and recipes differ from the code of their authors; see `Departure`."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Final

from agelens.errors import UnknownNameError, UsageError
from agelens.foreign_files import read_yaml
from agelens.models.methods import METHODS, method_class
from agelens.models.methods.base import Departure

EVERY_SYSTEM: Final = "every system"
_FILE: Final = Path(__file__).with_suffix(".yaml")


@cache
def system_departures() -> dict[str, tuple[Departure, ...]]:
    """Those of each system whose recipes we have, by the recipes' folder, and of all of them."""
    document = read_yaml(_FILE, UsageError)
    return {name: tuple(Departure(**one) for one in listed) for name, listed in document.items()}


def departures_of(name: str) -> tuple[Departure, ...]:
    """Those of a method, of a system's recipes, or, where a name is both, of both.

    Raises:
        UnknownNameError: neither a method nor a system has that name.
    """
    systems = system_departures()
    if name not in METHODS and name not in systems:
        raise UnknownNameError("method", name, {*METHODS, *systems} - {EVERY_SYSTEM})
    own = method_class(name).departures if name in METHODS else ()
    of_system = systems.get(name, ())
    shared = systems[EVERY_SYSTEM] if of_system and name != EVERY_SYSTEM else ()
    return (*own, *of_system, *shared)


def departures_table() -> str:
    """All of them as a table in Markdown, which docs/methods.md holds."""
    systems = system_departures()
    rows = [("of", *Departure._fields[:3], "to get theirs"), ("---",) * 5]
    for name in METHODS:
        rows += [(f"method `{name}`", *one) for one in method_class(name).departures]
    for name, listed in systems.items():
        label = name if name == EVERY_SYSTEM else f"recipes `{name}`"
        rows += [(label, *one) for one in listed]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)
