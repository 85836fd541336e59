"""Figures of protocols: CMC, ROC, and rates by age gap."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from agelens.evaluation.reports.canvas import COLOURS, panels, title
from agelens.recognition.protocols.identification import Identification
from agelens.recognition.protocols.rates import Rate
from agelens.recognition.protocols.verification import Verification

_LEAST_FALSE_MATCH = 1e-4


def match_curve(found: Identification) -> Figure:
    """CMC: the share of mates found at each rank or better, with its interval."""
    figure, axes = panels(1)
    panel: Axes = axes[0, 0]
    ranks = list(found.rates)
    rates = list(found.rates.values())
    panel.fill_between(
        ranks, [r.low for r in rates], [r.high for r in rates], color=COLOURS[0], alpha=0.25
    )
    panel.plot(ranks, [r.value for r in rates], "o-", color=COLOURS[0], markersize=4)
    panel.set_xticks(ranks)
    panel.set_xlabel("rank")
    _percent(panel, "found at that rank or better")
    title(panel, f"{len(found.trials):,} searches, {100 * found.resampling.level:g} % intervals")
    return figure


def roc_figure(found: Verification) -> Figure:
    """ROC: true matches against false matches, on an even and on a logarithmic axis."""
    figure, axes = panels(2, size_inches=(9, 4))
    curve = found.roc
    for panel in axes[0]:
        panel.plot(curve.false_match, curve.true_match, color=COLOURS[0], linewidth=1.2)
        panel.set_xlabel("false match rate")
        _percent(panel, "true match rate")
    even, small = axes[0]
    rate = found.equal_error.value
    even.plot([0, 1], [1, 0], color="black", linewidth=0.8, linestyle=":")
    even.plot([rate], [1 - rate], "o", color=COLOURS[1], markersize=5)
    title(even, f"equal error rate {100 * rate:.2f} %, area {found.area.value:.4f}")
    small.set_xscale("log")
    least = max(_LEAST_FALSE_MATCH, 1 / max(int((~found.pairs.same).sum()), 1))
    small.set_xlim(least, 1)
    title(small, "few false matches: left of the axis are too few pairs to say")
    return figure


def gap_figure(rates: Mapping[str, Rate], words: str) -> Figure | str:
    """A rate by band of age gaps, with intervals; a sentence where no age is known."""
    there = {name: rate for name, rate in rates.items() if rate.trials}
    if not there:
        return "No two ages are known, so nothing can be said by age gap."
    figure, axes = panels(1)
    panel: Axes = axes[0, 0]
    values = np.array([rate.value for rate in there.values()])
    ends = np.array([[rate.low, rate.high] for rate in there.values()])
    reach = np.nan_to_num(np.maximum(np.abs(ends.T - values), 0))
    panel.errorbar(range(len(there)), values, yerr=reach, fmt="o", capsize=3, color=COLOURS[0])
    labels = [f"{name}\n{rate.trials:,}" for name, rate in there.items()]
    panel.set_xticks(range(len(there)), labels)
    panel.set_xlim(-0.5, len(there) - 0.5)
    panel.set_xlabel("years between the two pictures; how many trials")
    _percent(panel, words)
    return figure


def _percent(panel: Axes, words: str) -> None:
    panel.set_ylim(-0.02, 1.02)
    panel.set_ylabel(words)
    panel.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
