"""Figures without pyplot: no global state, no display, and text that cannot be markup."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any, BinaryIO, Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, findfont, get_font
from numpy.typing import NDArray

WIDTH_INCHES: Final = 8.0
COLOURS: Final = ("#3b6ea5", "#c8643c")
"""One a table: told apart by colour-blind readers and in print."""

_DPI: Final = 110
_LONGEST: Final = 28


def panels(
    columns: int,
    *,
    rows: int = 1,
    row_inches: float = 3.2,
    size_inches: tuple[float, float] | None = None,
    **shared: Any,
) -> tuple[Figure, NDArray[np.object_]]:
    """A figure and its axes [rows, columns]; a column for each table, unless a size is given."""
    width = WIDTH_INCHES if columns == 1 else 0.8 * WIDTH_INCHES * columns
    size = size_inches or (width, row_inches * rows + 0.5)
    figure = Figure(figsize=size, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(rows, columns, squeeze=False, **shared)
    return figure, np.asarray(axes, dtype=object)


def save(figure: Figure, target: Path | BinaryIO) -> None:
    """Write the figure as a PNG, to a path or an open file."""
    figure.savefig(target, dpi=_DPI, format="png", metadata={"Software": None})


def title(panel: Axes, text: str) -> None:
    """A panel's title, from text that a table may have brought in."""
    panel.set_title(drawable(text, longest=90), fontsize=10)


def label_rows(panel: Axes, words: Sequence[str]) -> None:
    """Words of a table at 0, 1, 2 ... of the vertical axis, the first on top."""
    panel.set_yticks(range(len(words)), [drawable(word) for word in words])
    panel.set_ylim(len(words) - 0.5, -0.5)


def drawable(text: str, *, longest: int = _LONGEST) -> str:
    r"""`text` as matplotlib can draw it, shortened.

    Dollar signs would start a formula, and a malformed one stops the whole figure. What the
    font does not have would become boxes; it is spelled as ``\u4e9a``.
    """
    text = text if len(text) <= longest else text[: longest - 1] + "…"
    return "".join(_glyph(character) for character in text).replace("$", r"\$")


@cache
def _glyph(character: str) -> str:
    control = unicodedata.category(character) in ("Cc", "Cf", "Cs", "Zl", "Zp")
    if not control and get_font(findfont(FontProperties())).get_char_index(ord(character)):
        return character
    return character.encode("unicode_escape").decode("ascii")
