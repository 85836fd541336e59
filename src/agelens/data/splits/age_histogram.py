"""A figure of the ages in each part of a split."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray


def save_age_histograms(
    ages: Mapping[str, NDArray[np.float64]], path: Path, *, title: str = ""
) -> None:
    """Draw one panel a part, one bar a year, as a PNG.

    The bars are shares of the part, on one scale, so that parts of different size compare.

    Args:
        ages: years of each part's samples, [n] with NaN where unknown.
        path: of the PNG.
        title: above the panels.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415 - 0.3 s
    from matplotlib.figure import Figure  # noqa: PLC0415

    # A figure of its own: pyplot would keep it, and ask for a display.
    figure = Figure(figsize=(8, 1 + 1.6 * len(ages)), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(len(ages), sharex=True, sharey=True, squeeze=False)[:, 0]
    known = {part: years[np.isfinite(years)] for part, years in ages.items()}
    top = max((float(years.max(initial=0)) for years in known.values()), default=0.0)
    edges = np.arange(0, np.floor(top) + 2)
    for panel, (part, years) in zip(panels, known.items(), strict=True):
        counts, _ = np.histogram(years, bins=edges)
        panel.stairs(counts / max(len(years), 1), edges, fill=True)
        unknown = len(ages[part]) - len(years)
        panel.set_title(f"{part}: {len(years):,} with an age, {unknown:,} without", fontsize=9)
        panel.set_ylabel("share")
    panels[-1].set_xlabel("age in years")
    figure.suptitle(title)
    figure.savefig(path, dpi=120)
