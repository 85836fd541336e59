"""Which weights a prefix of their names stands for."""

from __future__ import annotations


def lies_under(name: str, prefix: str) -> bool:
    """Whether the weight or module `name` is, or lies in, the module `prefix`.

    With or without its closing dot: ``a.1`` and ``a.1.`` hold ``a.1.b``, neither ``a.10.b``.
    """
    return f"{name}.".startswith(f"{prefix.removesuffix('.')}.")
