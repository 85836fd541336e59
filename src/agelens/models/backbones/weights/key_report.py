"""What became of each key of a weights file, line by line."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Final, Literal, get_args

KeyFate = Literal["taken", "renamed", "resampled", "beyond", "missing", "mismatched", "unexpected"]
FATES: Final[tuple[KeyFate, ...]] = get_args(KeyFate)
"""In the order of the report. ``resampled``: a position embedding brought to another grid.
``beyond``: known not to be the backbone's, a classifier or another part of a whole model.
``missing``, ``mismatched`` (in shape) and ``unexpected``: what a strict load refuses."""
REFUSED: Final[frozenset[KeyFate]] = frozenset({"missing", "mismatched", "unexpected"})

Shape = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class KeyLine:
    """One key: `name` is ours, `source` the file's; each empty where that side has none."""

    fate: KeyFate
    name: str = ""
    source: str = ""
    expected: Shape | None = None
    found: Shape | None = None

    def __str__(self) -> str:
        ours = _described(self.name, self.expected)
        theirs = _described(self.source, self.found)
        both = f"{theirs} -> {ours}" if self.name and self.source else ours + theirs
        return f"{self.fate:<10} {self.name if self.fate == 'taken' else both}"


@dataclass(frozen=True, slots=True)
class KeyReport:
    """Every key of `source` and of the backbone, once.

    `flushed` is the number of subnormal weights that were set to zero.
    """

    backbone: str
    source: str
    lines: tuple[KeyLine, ...] = ()
    flushed: int = 0

    def of(self, *fates: KeyFate) -> tuple[KeyLine, ...]:
        """The lines with one of `fates`, in the report's order."""
        wanted = [fate for fate in FATES if fate in fates]
        return tuple(line for fate in wanted for line in self.lines if line.fate == fate)

    @property
    def summary(self) -> str:
        """One line: how many keys met which fate."""
        counts = Counter(line.fate for line in self.lines)
        told = ", ".join(f"{counts[fate]} {fate}" for fate in FATES if counts[fate])
        flushed = f"; {self.flushed} subnormal weights set to zero" if self.flushed else ""
        return f"{self.backbone} from {self.source}: {told or 'no keys to load'}{flushed}"

    def __str__(self) -> str:
        return "\n".join((self.summary, *(f"  {line}" for line in self.of(*FATES))))


def _described(name: str, shape: Shape | None) -> str:
    return f"{name} {list(shape)}" if name and shape is not None else name
