"""Figures of the steps of tuning."""

from __future__ import annotations

from typing import Any, Final, cast

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from agelens.evaluation.reports.canvas import COLOURS, panels, title
from agelens.training.tuning.overfitting import ENOUGH_YEARS
from agelens.training.tuning.rate_sweep import best_rate, end_losses

_CEILING: Final = 1.5
"""Losses are drawn up to so many times the first one; what is beyond has blown up."""


def overfit_figure(curves: pd.DataFrame) -> Figure:
    """The error on a few samples over the steps, a line for each learning rate."""
    figure, axes = panels(1)
    panel = axes[0, 0]
    for (lr, rows), colour in zip(curves.groupby("lr", sort=False), _colours(3), strict=False):
        panel.plot(rows["step"], rows["mae_years"], "o-", ms=3, color=colour, label=f"lr {lr:.2g}")
    panel.axhline(ENOUGH_YEARS, color="black", ls="--", lw=1)
    panel.set_ylim(bottom=0)
    panel.set_xlabel("step")
    panel.set_ylabel("MAE in years")
    panel.legend(frameon=False)
    title(panel, "Error on the samples that are trained on; dashed: learnt by heart")
    return figure


def sweep_figure(sweep: pd.DataFrame) -> Figure:
    """Left the loss of each step, right that of the last steps over the learning rate."""
    figure, axes = panels(2)
    steps, ends = cast("list[Axes]", list(axes[0]))
    firsts = sweep.loc[sweep["step"] == 1, "loss"]
    ceiling = _CEILING * firsts[np.isfinite(firsts)].median() if np.isfinite(firsts).any() else 1.0
    groups = list(sweep.groupby("lr"))
    for (lr, rows), colour in zip(groups, _colours(len(groups)), strict=True):
        smooth = rows["loss"].replace(np.inf, np.nan).rolling(5, min_periods=1).mean()
        steps.plot(rows["step"], smooth, color=colour, label=f"{lr:.2g}")
    steps.set_ylim(top=ceiling, bottom=min(0, sweep["loss"].min()))
    steps.set_xlabel("step")
    title(steps, "Training loss, mean of 5 steps, by learning rate")
    steps.legend(frameon=False, fontsize=8)
    _draw_ends(ends, end_losses(sweep), ceiling)
    if np.isfinite(end_losses(sweep)).any():
        ends.axvline(best_rate(sweep), color="black", ls="--", lw=1)
    return figure


def _draw_ends(panel: Axes, losses: pd.Series, ceiling: float) -> None:
    drawn = losses.clip(upper=ceiling)
    lost = ~np.isfinite(losses)
    panel.plot(drawn.index, drawn, "-", color=COLOURS[0])
    panel.plot(drawn.index[~lost], drawn[~lost], "o", color=COLOURS[0])
    panel.plot(drawn.index[lost], drawn[lost], "x", color=COLOURS[1], label="blew up")
    panel.set_xscale("log")
    panel.set_xlabel("learning rate")
    if lost.any():
        panel.legend(frameon=False)
    title(panel, "Mean loss of the last quarter of the steps")


def grid_figure(grid: pd.DataFrame) -> Figure:
    """A heat map of the validation MAE: weight decay over learning rate."""
    table = grid.pivot_table(index="weight_decay", columns="lr", values="mae_years", dropna=False)
    values = table.to_numpy(dtype=float)
    shown = np.where(np.isfinite(values), values, np.nan)
    figure, axes = panels(1, row_inches=0.8 + 0.6 * len(table))
    panel = axes[0, 0]
    image = panel.imshow(shown, cmap="viridis_r", aspect="auto", origin="lower")
    for (row, column), value in np.ndenumerate(values):
        words = f"{value:.2f}" if np.isfinite(value) else "blew up"
        weight = "bold" if value == np.nanmin(shown) else "normal"
        around = {"fc": "white", "ec": "none"}
        panel.text(column, row, words, ha="center", va="center", fontweight=weight, bbox=around)
    panel.set_xticks(range(len(table.columns)), [f"{lr:.2g}" for lr in table.columns])
    panel.set_yticks(range(len(table.index)), [f"{decay:.2g}" for decay in table.index])
    panel.set_xlabel("learning rate")
    panel.set_ylabel("weight decay")
    figure.colorbar(image, ax=panel, label="validation MAE in years")
    title(panel, "Validation MAE by learning rate and weight decay")
    return figure


def search_figure(trials: pd.DataFrame) -> Figure:
    """The cost of each trial, and the least so far."""
    figure, axes = panels(1)
    panel = axes[0, 0]
    for state, marker, colour in (
        ("complete", "o", COLOURS[0]),
        ("pruned", "x", COLOURS[1]),
    ):
        rows = trials[(trials["state"] == state) & trials["cost"].notna()]
        if len(rows):
            panel.plot(rows["trial"], rows["cost"], marker, ls="", color=colour, label=state)
    whole = trials[trials["state"] == "complete"]
    panel.step(
        whole["trial"], whole["cost"].cummin(), where="post", color="black", label="least so far"
    )
    panel.legend(frameon=False)
    panel.set_xlabel("trial")
    title(panel, "Cost on the valid part")
    return figure


def _colours(count: int) -> list[Any]:
    spread = colormaps["viridis"].resampled(max(count, 2))
    return [spread(place) for place in range(count)]
