"""Numbers that a method's constructor accepts, refused by name where they make no sense."""

from __future__ import annotations

import math


def above_zero(**options: float) -> None:
    """Refuse options that are not finite numbers above 0.

    Raises:
        ValueError: one is not; the message names it.
    """
    for name, value in options.items():
        if not 0 < value < math.inf:
            raise ValueError(f"{name} must be above 0 and finite, got {value}")


def not_negative(**options: float) -> None:
    """Refuse options that are not finite numbers from 0 up.

    Raises:
        ValueError: one is not; the message names it.
    """
    for name, value in options.items():
        if not 0 <= value < math.inf:
            raise ValueError(f"{name} must be at least 0 and finite, got {value}")
