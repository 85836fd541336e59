"""How a store's chips were made: what its card says, and what a resumed run must have alike."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Final, Literal, TypeAlias, get_args

from agelens.errors import UsageError
from agelens.imaging.templates import TIGHTEST_MARGIN, WIDEST_MARGIN, template_named
from agelens.version import __version__

Alignment: TypeAlias = Literal["similarity", "rotate-crop", "as-shipped"]
ALIGNMENTS: Final[tuple[str, ...]] = get_args(Alignment)

DEFAULT_TEMPLATE: Final = "dlib-64"
DEFAULT_SIZE: Final = 112
ROWS_PER_SHARD: Final = 1024

_SMALLEST: Final = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreSettings:
    """Everything but the table that decides a chip's bytes.

    `alignment` is ``similarity`` (five landmarks onto `template`), ``rotate-crop`` (the
    two-pass rule) or ``as-shipped`` (the owner aligned the pictures; resized only, without
    detection). `margin` is the share of width and height shown around the frame.

    Raises:
        UsageError: a number out of range.
    """

    alignment: Alignment
    detector: str | None
    longest_side: int | None
    template: str | None
    size: int
    margin: float
    encoding: str
    quality: int | None
    max_pixels: int
    rows_per_shard: int
    licences: Mapping[str, str] = field(default_factory=dict)
    agelens_version: str = __version__

    def __post_init__(self) -> None:
        if self.size < _SMALLEST:
            raise UsageError(f"chips of {self.size} pixels: the least is {_SMALLEST}")
        tightest = TIGHTEST_MARGIN if self.alignment == "similarity" else 0.0
        if not tightest <= self.margin <= WIDEST_MARGIN:
            raise UsageError(
                f"margin is a share of the frame, {tightest:g} to {WIDEST_MARGIN:g}, "
                f"got {self.margin}"
            )
        if self.rows_per_shard < 1:
            raise UsageError(f"a shard has at least 1 row, got {self.rows_per_shard}")

    def to_json(self) -> dict[str, Any]:
        """Plain JSON types by name."""
        return asdict(self) | {"licences": dict(self.licences)}


def alignment_of(
    *, template: str | None, size: int | None, margin: float, two_pass: bool, aligned: bool
) -> tuple[Alignment, str | None, int]:
    """Alignment, template and size that a call asks for, defaults filled in.

    Raises:
        UsageError: options that clash.
        UnknownNameError: no such template.
    """
    if not (two_pass or aligned):
        name = template or DEFAULT_TEMPLATE
        return "similarity", name, size or template_named(name).size
    kind: Alignment = "as-shipped" if aligned else "rotate-crop"
    if two_pass and aligned:
        raise UsageError("two_pass looks for faces and aligned does not: choose one")
    if template is not None:
        raise UsageError(f"{kind} chips follow no template: leave out {template!r}")
    if aligned and margin:
        raise UsageError("aligned pictures hold no surroundings to show: leave out the margin")
    return kind, None, size or DEFAULT_SIZE
