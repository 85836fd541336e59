"""The report of a tuning: one page over what its folder holds so far."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from typing import Final

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from agelens.evaluation.reports.canvas import save
from agelens.evaluation.reports.page import Page, Section
from agelens.training.callbacks.learning_curves import AGE_CURVES, CURVES
from agelens.training.tuning import figures
from agelens.training.tuning.overfitting import ENOUGH_YEARS
from agelens.training.tuning.rate_decay_grid import best_pair
from agelens.training.tuning.rate_sweep import best_rate, end_losses
from agelens.training.tuning.tuning_folder import TuningFolder
from agelens.whole_file import write_whole

_SHOWN: Final = ("samples", "mae", "bias", "cs5", "ca3")


def write_report(folder: TuningFolder) -> None:
    """Draw and write what is there; steps that are not are left out.

    Raises:
        OutputError: it cannot be written.
    """
    page = Page("Tuning", list(_sections(folder)))
    write_whole(folder.page, page.to_html().encode())


def _sections(folder: TuningFolder) -> Iterator[Section]:
    if folder.untrained.is_file():
        yield _untrained(folder)
    for path, section in (
        (folder.overfit, _overfit),
        (folder.sweep, _sweep),
        (folder.grid, _grid),
        (folder.trials, _search),
    ):
        if path.is_file():
            yield section(folder, pd.read_csv(path))
    if folder.run.path.is_dir():
        yield _long_run(folder)


def _untrained(folder: TuningFolder) -> Section:
    found = folder.read(folder.untrained)
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
        images=[_drawn(folder, "overfit", lambda: figures.overfit_figure(curves))],
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
        images=[_drawn(folder, "sweep", lambda: figures.sweep_figure(sweep))],
        warning=warning,
    )


def _grid(folder: TuningFolder, grid: pd.DataFrame) -> Section:
    lines = []
    if np.isfinite(grid["cost"]).any():
        lr, decay = best_pair(grid)
        lines = [f"Best on the valid part: learning rate {lr:.3g}, weight decay {decay:.3g}."]
    return Section(
        "4. Learning rate by weight decay",
        lines=lines,
        images=[_drawn(folder, "grid", lambda: figures.grid_figure(grid))],
    )


def _search(folder: TuningFolder, trials: pd.DataFrame) -> Section:
    return Section(
        "3 and 4. Search",
        lines=[
            f"{len(trials)} trials, {(trials['state'] == 'pruned').sum()} of them given up early. "
            "The cost is that by which the run chooses its best epoch; the less the better."
        ],
        tables=[("Trials, the best first", trials.sort_values("cost").head(20))],
        images=[_drawn(folder, "search", lambda: figures.search_figure(trials))],
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
    write_whole(folder.path / f"{name}.png", picture.getvalue())
    return f"{name}.png"
