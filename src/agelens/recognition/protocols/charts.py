"""Charts of the protocols: ranks, ROC, and rates by age gap."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Final

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from agelens.evaluation.groups import FEW
from agelens.evaluation.reports.page import Drawing
from agelens.evaluation.reports.plotting import COLOURS, panels, percent, points, title
from agelens.recognition.protocols.pair_scores import RocCurve
from agelens.recognition.protocols.rates import Rate

_LEAST_FALSE_MATCH: Final = 1e-4


def match_curve(rates: Mapping[int, Rate], words: str) -> Drawing:
    """CMC: the share of mates found at each rank or better, with its interval."""
    figure, axes = panels(1)
    panel: Axes = axes[0, 0]
    ranks, shares = list(rates), list(rates.values())
    low, high = [rate.low for rate in shares], [rate.high for rate in shares]
    panel.fill_between(ranks, low, high, color=COLOURS[0], alpha=0.25)
    panel.plot(ranks, [rate.value for rate in shares], "o-", color=COLOURS[0], markersize=4)
    panel.set_xticks(ranks)
    panel.set_xlabel("rank")
    _share(panel, "found at that rank or better")
    title(panel, words)
    numbers = pd.DataFrame([{"rank": rank, **asdict(one)} for rank, one in rates.items()])
    return Drawing(figure, numbers)


def roc_figure(curve: RocCurve, equal_error: float, area: float, others: int) -> Drawing:
    """ROC on an even and on a logarithmic axis; `others` counts the pairs of two people."""
    figure, axes = panels(2, size_inches=(9, 4))
    for panel in axes[0]:
        panel.plot(curve.false_match, curve.true_match, color=COLOURS[0], linewidth=1.2)
        panel.set_xlabel("false match rate")
        _share(panel, "true match rate")
    even, small = axes[0]
    even.plot([0, 1], [1, 0], color="black", linewidth=0.8, linestyle=":")
    even.plot([equal_error], [1 - equal_error], "o", color=COLOURS[1], markersize=5)
    title(even, f"equal error rate {100 * equal_error:.2f} %, area {area:.4f}")
    small.set_xscale("log")
    small.set_xlim(max(_LEAST_FALSE_MATCH, 1 / max(others, 1)), 1)
    title(small, "few false matches: left of the axis are too few pairs to say")
    numbers = {"false_match": curve.false_match, "true_match": curve.true_match}
    return Drawing(figure, pd.DataFrame(numbers))


def gap_figure(rates: Mapping[str, Rate], words: str) -> Figure:
    """A rate by band of age gaps, with intervals; those of few trials are grey."""
    there = {name: rate for name, rate in rates.items() if rate.trials}
    figure, axes = panels(1)
    panel: Axes = axes[0, 0]
    shares = list(there.values())
    ends = ([rate.low for rate in shares], [rate.high for rate in shares])
    few = [rate.trials < FEW for rate in shares]
    values = [rate.value for rate in shares]
    points(panel, range(len(there)), values, ends, few, colour=COLOURS[0])
    labels = [f"{name}\n{rate.trials:,}" for name, rate in there.items()]
    panel.set_xticks(range(len(there)), labels)
    panel.set_xlim(-0.5, len(there) - 0.5)
    panel.set_xlabel("years between the two pictures; how many trials")
    _share(panel, words)
    return figure


def _share(panel: Axes, words: str) -> None:
    panel.set_ylim(-0.02, 1.02)
    panel.set_ylabel(words)
    percent(panel.yaxis)
