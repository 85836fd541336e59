"""Under which conditions a face is estimated: clean, damaged, cut wider, found by another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from agelens.errors import UnknownNameError, UsageError
from agelens.evaluation.sensitivity.corruptions import CORRUPTIONS, MARGIN, SEVERITIES

DETECTOR: Final = "detector"
STRESSES: Final = (*CORRUPTIONS, MARGIN, DETECTOR)
ON_CHIPS: Final = tuple(name for name in CORRUPTIONS if name != "rotation")
"""What can be done to a chip that is cut already."""

NOT_ON_CHIPS: Final = {
    "rotation": "a chip is level already, and a turned photo would be levelled before it is cut",
    MARGIN: "a chip holds nothing beyond its frame",
    DETECTOR: "a chip is cut already",
}


@dataclass(frozen=True, slots=True, order=True)
class Condition:
    """A corruption (of `CORRUPTIONS`, or margin) and its severity, 1 to 5.

    Of severity 0 are ``clean``, and ``detector NAME``: the clean photo searched by another one.
    """

    corruption: str
    severity: int = 0

    @property
    def detector(self) -> str | None:
        """The name of the other detector, if there is one."""
        kind, _, name = self.corruption.partition(" ")
        return name if kind == DETECTOR else None


CLEAN: Final = Condition("clean")


def conditions(stresses: Sequence[str], detectors: Sequence[str] = ()) -> tuple[Condition, ...]:
    """Clean, then each of `stresses` in all severities, then each of `detectors`.

    Args:
        stresses: names of `STRESSES`.
        detectors: those other than the estimator's own, used where `detector` is asked for.

    Raises:
        UnknownNameError: another name.
        UsageError: none, or one twice.
    """
    for name in stresses:
        if name not in STRESSES:
            raise UnknownNameError("corruption", name, STRESSES)
    if not stresses or len(set(stresses)) < len(stresses):
        raise UsageError("corruptions: at least one, each of them once")
    damaged = [
        Condition(name, severity)
        for name in stresses
        if name != DETECTOR
        for severity in SEVERITIES
    ]
    others = [Condition(f"{DETECTOR} {name}") for name in detectors if DETECTOR in stresses]
    return (CLEAN, *damaged, *others)


def refuse_off_chips(stresses: Sequence[str]) -> None:
    """Raise where something is asked for that cannot be done to chips.

    Raises:
        UsageError: it is; the message says why not.
    """
    for name in stresses:
        if name in NOT_ON_CHIPS:
            raise UsageError(
                f"{name} needs photos (--data TABLE --root ROOT): {NOT_ON_CHIPS[name]}"
            )
