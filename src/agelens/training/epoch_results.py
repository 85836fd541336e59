"""What callbacks may ask of any module once an epoch is over."""

from __future__ import annotations

from typing import Protocol, runtime_checkable


@runtime_checkable
class EpochResults(Protocol):
    """A module that says how an epoch went.

    `metrics` has the epoch's figures by name, `improved` says whether it is the best so far.
    """

    metrics: dict[str, float]
    improved: bool
