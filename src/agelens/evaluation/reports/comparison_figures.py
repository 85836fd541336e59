"""Figures of a comparison: the matrix as a heat map, and the ranks."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from agelens.evaluation.comparison.comparison import Cell, Comparison
from agelens.evaluation.comparison.ranks import BlockRanks
from agelens.evaluation.reports.comparison_tables import SHORT
from agelens.evaluation.reports.plotting import (
    GREY,
    WIDTH_INCHES,
    colours,
    drawable,
    label_rows,
    panels,
    title,
)

_DARK_FROM: Final = 0.6
_LEAST_SHOWN: Final = 0.5
_WORST_SHOWN: Final = 1.0
"""Twice the best error: beyond it all is as dark."""


def matrix_figure(found: Comparison) -> Figure:
    """MAE of models by datasets, coloured by how far above the dataset's best it is.

    By dataset, since one dataset is harder than another whatever the model.
    """
    width = max(WIDTH_INCHES, 2.6 + 1.9 * len(found.datasets))
    size = (width, 1.6 + 0.62 * len(found.models))
    figure, axes = panels(1, size_inches=size)
    panel: Axes = axes[0, 0]
    above = np.array([[_above_best(found, m, d) for d in found.datasets] for m in found.models])
    colour_map = colormaps["YlOrBr"].with_extremes(bad="white")
    most = float(np.clip(np.nanmax(above, initial=0.0), _LEAST_SHOWN, _WORST_SHOWN))
    edges = [np.arange(count + 1) - 0.5 for count in above.shape[::-1]]
    image = panel.pcolormesh(*edges, above, cmap=colour_map, vmin=0, vmax=most)
    for row, model in enumerate(found.models):
        for column, dataset in enumerate(found.datasets):
            _write(panel, row, column, found.cell(model, dataset), above[row, column] / most)
    label_rows(panel, found.models)
    panel.set_xticks(range(len(found.datasets)), [drawable(name) for name in found.datasets])
    panel.xaxis.tick_top()
    panel.tick_params(length=0)
    bar = figure.colorbar(image, ax=panel, format=PercentFormatter(1.0, decimals=0))
    bar.set_label("above the dataset's best")
    level = f"{100 * found.level:g} %"
    title(panel, f"MAE in years, {level} intervals by person; grey: under 30 samples")
    return figure


def ranks_figure(found: Comparison) -> Figure | str:
    """Ranks with other people, with other seeds, and over datasets: as far as there are any."""
    ranked = [cell for cell in found.cells if cell.rank is not None]
    if not ranked:
        return "One model alone, or one person, has no rank."
    blocks = [(f"seeds on {name}", ranks) for name, ranks in found.seed_ranks.items()]
    if found.dataset_ranks is not None:
        blocks.append(("datasets", found.dataset_ranks))
    models = _in_order(found, ranked)
    size = (WIDTH_INCHES, (1 + len(blocks)) * (1.1 + 0.34 * len(models)))
    figure, axes = panels(1, rows=1 + len(blocks), size_inches=size, sharex=True)
    _drawn_panel(axes[0, 0], found, models)
    for panel, (what, ranks) in zip(axes[1:, 0], blocks, strict=True):
        _block_panel(panel, what, ranks, models)
    for panel in axes[:, 0]:
        label_rows(panel, models)
        panel.grid(axis="x", alpha=0.3)
        panel.xaxis.set_major_locator(MaxNLocator(integer=True))
        panel.set_xlim(0.7, len(models) + 0.3)
    axes[-1, 0].set_xlabel("rank by MAE: 1 is the lowest error")
    return figure


def _above_best(found: Comparison, model: str, dataset: str) -> float:
    cell = found.cell(model, dataset)
    if cell is None or cell.few:
        return float("nan")
    column = [one.figures["mae"].value for one in found.cells if one.dataset == dataset]
    best = min(column)
    return cell.figures["mae"].value / best - 1 if best > 0 else 0.0


def _write(panel: Axes, row: int, column: int, cell: Cell | None, shade: float) -> None:
    if cell is None:
        panel.text(column, row, "not tried", ha="center", va="center", color=GREY, fontsize=8)
        return
    mae = cell.figures["mae"]
    ends = "" if np.isnan(mae.low) else f"\n[{mae.low:.2f}, {mae.high:.2f}]"
    ink = GREY if cell.few else "white" if shade > _DARK_FROM else "#1b2430"
    text = f"{mae.value:.2f} {SHORT[cell.relation.kind]}{ends}"
    panel.text(column, row, text, ha="center", va="center", color=ink, fontsize=8)


def _in_order(found: Comparison, ranked: list[Cell]) -> list[str]:
    """Models by their mean rank over the datasets, the best first."""
    ranks: dict[str, list[float]] = {model: [] for model in found.models}
    for cell in ranked:
        if cell.rank is not None:
            ranks[cell.model].append(cell.rank.mean)
    known = {model: float(np.mean(values)) for model, values in ranks.items() if values}
    return sorted(known, key=lambda model: known[model])


def _drawn_panel(panel: Axes, found: Comparison, models: list[str]) -> None:
    shown = [name for name in found.datasets if any(_rank(found, m, name) for m in models)]
    for place, (name, colour) in enumerate(zip(shown, colours(len(shown)), strict=True)):
        shift = 0.5 * ((place + 0.5) / len(shown) - 0.5)
        rows = [(y + shift, _rank(found, model, name)) for y, model in enumerate(models)]
        there = [(y, rank) for y, rank in rows if rank is not None]
        mean = np.array([rank.mean for _, rank in there])
        ends = np.array([[rank.low, rank.high] for _, rank in there])
        reach = np.maximum([mean - ends[:, 0], ends[:, 1] - mean], 0)
        y = [one for one, _ in there]
        look: dict[str, Any] = {"fmt": "o", "markersize": 5, "capsize": 3, "linewidth": 1.2}
        panel.errorbar(mean, y, xerr=reach, color=colour, label=drawable(name), **look)
    panel.legend(fontsize=8, frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
    title(panel, f"people drawn anew {found.draws:,} times: mean and {100 * found.level:g} % range")


def _rank(found: Comparison, model: str, dataset: str) -> Any:
    cell = found.cell(model, dataset)
    return None if cell is None else cell.rank


def _block_panel(panel: Axes, what: str, ranks: BlockRanks, models: list[str]) -> None:
    places = [y for y, model in enumerate(models) if model in ranks.mean]
    mean = [ranks.mean[models[y]] for y in places]
    spread = [ranks.spread[models[y]] for y in places]
    panel.errorbar(
        mean, places, xerr=spread, fmt="s", markersize=5, capsize=3, linewidth=1.2, color="#333333"
    )
    text = f"{len(ranks.blocks)} {what}: mean and standard deviation"
    if ranks.critical_distance is not None:
        text += f"; differing from {ranks.critical_distance:.2f} ranks apart (Nemenyi)"
    title(panel, text)
