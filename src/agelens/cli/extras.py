"""Optional packages: asked for before a command loads them, so that what is missing is said."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec

from agelens.errors import MissingDependencyError


def require(packages: Sequence[str], command: str, extra: str = "train") -> None:
    """Make sure that `packages` are installed, without importing them.

    Raises:
        MissingDependencyError: some are not; the message names them and the extra.
    """
    missing = [name for name in packages if find_spec(name) is None]
    if missing:
        raise MissingDependencyError(
            f"agelens {command} needs {', '.join(missing)}: pip install 'agelens[{extra}]'"
        )
