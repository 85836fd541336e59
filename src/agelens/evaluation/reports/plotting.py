"""Figures without pyplot: no global state, no display, and text that cannot be markup."""

from __future__ import annotations

import io
import unicodedata
from collections.abc import Sequence
from functools import cache
from itertools import cycle, islice
from pathlib import Path
from typing import Any, BinaryIO, Final

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, findfont, get_font
from matplotlib.ticker import PercentFormatter
from numpy.typing import ArrayLike, NDArray

WIDTH_INCHES: Final = 7.6
COLOURS: Final = ("#3b6ea5", "#c8643c")
"""One a table: told apart by colour-blind readers and in print."""

GREY: Final = "#b0b0b0"
"""Of groups with few samples."""

_SERIES: Final = (
    *("#0173b2", "#de8f05", "#029e73", "#d55e00", "#cc78bc"),
    *("#ca9161", "#fbafe4", "#949494", "#ece133", "#56b4e9"),
)
_DPI: Final = 130
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
    axes = np.asarray(figure.subplots(rows, columns, squeeze=False, **shared), dtype=object)
    for panel in axes.ravel():
        panel.spines[["top", "right"]].set_visible(False)
        panel.tick_params(labelsize=9)
    return figure, axes


def save(figure: Figure, target: Path | BinaryIO) -> None:
    """Write the figure as a PNG, to a path or an open file."""
    figure.savefig(target, dpi=_DPI, format="png", metadata={"Software": None})


_IN_THE_DARK: Final = {
    **{"#000000": "#e4e8ee", "#0173b2": "#5ab0e8", "#029e73": "#3fd0a4", "#3b6ea5": "#7fb2e5"},
    **{"#d55e00": "#ff9552", "#c8643c": "#ea8f69", "#9b2226": "#ff8a80"},
}
"""Black, and the colours that are too dark for a dark ground, as they are there."""
_DARK: Final = "".join(
    f'[style*="{what}: {colour}"]{{{what}:{light}!important}}'
    for colour, light in _IN_THE_DARK.items()
    for what in ("fill", "stroke")
)


def pictures(figure: Figure) -> dict[str, bytes]:
    """The figure as `svg`, on no ground of its own, and as `png`, on white."""
    drawn = {"svg": io.BytesIO(), "png": io.BytesIO()}
    with rc_context({"svg.hashsalt": "agelens"}):  # or names in it differ from run to run
        figure.savefig(
            drawn["svg"], dpi=2 * _DPI, format="svg", transparent=True, metadata={"Date": None}
        )
    save(figure, drawn["png"])
    dark = f"@media screen and (prefers-color-scheme:dark){{svg{{fill:#e4e8ee}}{_DARK}}}</style>"
    svg = drawn["svg"].getvalue().decode().replace("</style>", dark, 1)
    return {"svg": svg.encode(), "png": drawn["png"].getvalue()}


def colours(count: int) -> list[str]:
    """A colour for each of several series, told apart by colour-blind readers."""
    return list(islice(cycle(_SERIES), count))


def points(
    panel: Axes,
    places: ArrayLike,
    values: ArrayLike,
    ends: tuple[ArrayLike, ArrayLike],
    few: ArrayLike,
    *,
    colour: str,
    label: str = "",
    across: bool = False,
) -> None:
    """Values [N] with their intervals at `places` [N]; those of few samples are grey.

    Places are on the horizontal axis, and where the intervals go `across` on the vertical one.
    """
    x, middle = np.asarray(places, np.float64), np.asarray(values, np.float64)
    low, high = (np.asarray(end, np.float64) for end in ends)
    # A percentile interval may end short of its value; no bar points the wrong way.
    reach = np.nan_to_num(np.maximum([middle - low, high - middle], 0))
    rare = np.asarray(few, dtype=bool)
    look: dict[str, Any] = {"fmt": "o", "markersize": 4, "capsize": 2, "linewidth": 1}
    for some, ink, words in ((~rare, colour, drawable(label) or None), (rare, GREY, None)):
        look |= {"color": ink, "label": words}
        if across:
            panel.errorbar(middle[some], x[some], xerr=reach[:, some], **look)
        else:
            panel.errorbar(x[some], middle[some], yerr=reach[:, some], **look)


def legend(panel: Axes) -> None:
    """Names of the series, where there are several."""
    if len(panel.get_legend_handles_labels()[0]) > 1:
        panel.legend(fontsize=8, frameon=False)


def percent(axis: Axis) -> None:
    """Shares on `axis` as whole percents."""
    axis.set_major_formatter(PercentFormatter(1.0, decimals=0))


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
