"""The report of a tuning: one page over what its folder holds so far."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from typing import Any, Final, cast

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from agelens.atomic import write_atomically
from agelens.errors import TrainingError
from agelens.evaluation.reports.page import Page, Section
from agelens.evaluation.reports.plotting import COLOURS, panels, save, title
from agelens.foreign_files import decoding
from agelens.training.callbacks.learning_curves import AGE_CURVES, CURVES
from agelens.training.tuning.checks import ENOUGH_YEARS
from agelens.training.tuning.search import best_rate, end_losses
from agelens.training.tuning.trials import TuningFolder

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


_SHOWN: Final = ("samples", "mae", "bias", "cs5", "ca3")


def write_report(folder: TuningFolder) -> None:
    """Draw and write what is there; steps that are not are left out.

    Raises:
        TrainingError: one of the tables is damaged.
        OutputError: it cannot be written.
    """
    page = Page("Tuning", list(_sections(folder)))
    write_atomically(folder.page, page.to_html().encode())


_DELETE: Final = "Delete it: the same agelens tune goes on without"


def _sections(folder: TuningFolder) -> Iterator[Section]:
    if folder.untrained.is_file():
        yield _untrained(folder)
    for step, section in (
        ("overfit", _overfit),
        ("sweep", _sweep),
        ("grid", _grid),
        ("search", _search),
    ):
        if folder.table(step).is_file():
            with decoding(folder.table(step), "trials", TrainingError, advice=_DELETE):
                yield section(folder, pd.read_csv(folder.table(step), index_col=False))
    if folder.run.path.is_dir():
        yield _long_run(folder)


def _untrained(folder: TuningFolder) -> Section:
    found = folder.run.read(folder.untrained)
    how = "whose head starts from trained weights" if found["trained_head"] else "untrained"
    return Section(
        "1. Loss of the untrained network",
        lines=[
            f"Over {found['samples']:,} samples of the train part the network, {how}, has a loss "
            f"of {found['measured']:.4g}. With the same answer for every image it would be "
            f"{found['expected']:.4g}."
        ],
        warning=""
        if found["as_expected"]
        else "These are far apart: look at the normalisation of the images, the starting weights, "
        "and the scale of the labels, before anything else.",
    )


def _overfit(folder: TuningFolder, curves: pd.DataFrame) -> Section:
    least = curves["mae_years"].min()
    lr = curves["lr"].iloc[int(curves["mae_years"].to_numpy().argmin())]
    return Section(
        "2. A few samples by heart",
        lines=[
            f"Without augmentation, weight decay or regularisers the error on the samples fell to "
            f"{least:.2f} years at a learning rate of {lr:.2g}."
        ],
        images=[_drawn(folder, "overfit", lambda: overfit_figure(curves))],
        warning=""
        if least <= ENOUGH_YEARS
        else f"They were not learnt to {ENOUGH_YEARS:g} year: labels may belong to other "
        "pictures, the learning rate may be far off, or most weights are frozen.",
    )


def _sweep(folder: TuningFolder, sweep: pd.DataFrame) -> Section:
    ends = end_losses(sweep)
    lines, warning = [], "The loss blew up at all rates."
    if np.isfinite(ends).any():
        best = best_rate(sweep)
        lines = [f"The loss fell furthest at a learning rate of {best:.3g}."]
        warning = _at_the_edge(best, list(ends.index))
    return Section(
        "3. Learning rates",
        lines=lines,
        tables=[("Loss at the end", ends.rename("loss").reset_index())],
        images=[_drawn(folder, "sweep", lambda: sweep_figure(sweep))],
        warning=warning,
    )


def _grid(folder: TuningFolder, grid: pd.DataFrame) -> Section:
    lines = []
    if np.isfinite(grid["cost"]).any():
        best = grid.iloc[int(grid["cost"].to_numpy().argmin())]
        lines = [
            f"Best on the valid part: learning rate {best['lr']:.3g}, weight decay "
            f"{best['weight_decay']:.3g}."
        ]
    return Section(
        "4. Learning rate by weight decay",
        lines=lines,
        images=[_drawn(folder, "grid", lambda: grid_figure(grid))],
    )


def _search(folder: TuningFolder, trials: pd.DataFrame) -> Section:
    return Section(
        "3 and 4. Search",
        lines=[
            f"{len(trials)} trials, {(trials['state'] == 'pruned').sum()} of them given up early. "
            "The cost is that by which the run chooses its best epoch; the less the better."
        ],
        tables=[("Trials, the best first", trials.sort_values("cost").head(20))],
        images=[_drawn(folder, "search", lambda: search_figure(trials))],
    )


def _long_run(folder: TuningFolder) -> Section:
    run = folder.run
    images = [f"run/{name}" for name in (CURVES, AGE_CURVES) if (run.path / name).is_file()]
    if not run.summary.is_file():
        return Section("5. The long run", lines=["It is not finished."], images=images)
    metrics = run.read(run.summary)["metrics"]
    rows = [{"part": part, **{name: row[name] for name in _SHOWN}} for part, row in metrics.items()]
    return Section(
        "5. The long run",
        lines=["The test parts were looked at once, after the best epoch was chosen."],
        tables=[("Results; errors in years", pd.DataFrame(rows))],
        images=images,
    )


def _at_the_edge(best: float, rates: list[float]) -> str:
    if best not in (rates[0], rates[-1]):
        return ""
    return "That is the edge of what was tried: move the configuration's learning rate there."


def _drawn(folder: TuningFolder, name: str, draw: Callable[[], Figure]) -> str:
    picture = io.BytesIO()
    save(draw(), picture)
    write_atomically(folder.path / f"{name}.png", picture.getvalue())
    return f"{name}.png"
