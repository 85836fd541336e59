"""How far apart groups are in a metric: gap, ratio, Gini coefficient.

Only groups of at least 30 samples are compared: of a handful, the highest and the lowest are
chance. Even then the gap of groups that do not differ is above 0, the more so the smaller
they are: read it with its interval, and with the groups' own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np
import pandas as pd
from fairlearn.metrics import MetricFrame

from agelens.evaluation.metrics.sums import ratio
from agelens.records import Floats


def gaps_and_ratios(
    groups: Sequence[str], values: Mapping[str, Floats]
) -> tuple[pd.Series, pd.Series]:
    """Highest less lowest of the values [G] of two or more groups, and lowest over highest.

    As fairlearn's `MetricFrame` defines them, of each metric by name. It would also measure the
    groups, but makes a Python object of every sample, several times: 40 seconds a grouping at
    a million. So it gets one row a group, and what was measured of it.
    """
    places = np.arange(len(groups))
    frame = MetricFrame(
        metrics={name: partial(_value_of, one) for name, one in values.items()},
        y_true=places,
        y_pred=places,
        sensitive_features=pd.Series(groups, name="group"),
    )
    return frame.difference(), frame.ratio()


def gap_of_draws(draws: Floats) -> Floats:
    """The gap [D] between the groups [G, D] in each draw; groups of which nobody came are out."""
    return np.asarray(np.fmax.reduce(draws, axis=0) - np.fmin.reduce(draws, axis=0))


def ratio_of_draws(draws: Floats) -> Floats:
    """Lowest over highest [D] of the groups [G, D] in each draw."""
    return ratio(np.fmin.reduce(draws, axis=0), np.fmax.reduce(draws, axis=0))


def gini(values: Floats) -> Floats:
    """Gini coefficient [...] of groups' errors [G, ...]: 0 all alike, towards 1 one has it all.

    Mean absolute difference of all pairs over twice the mean (Gini, 1912); NaN with an
    undefined group or a mean of 0. Of the errors 1 and 3 it is 0.25.
    """
    count = len(values)
    ascending = np.sort(values, axis=0)
    place = np.arange(1, count + 1).reshape(-1, *[1] * (ascending.ndim - 1))
    spread = ((2 * place - count - 1) * ascending).sum(axis=0)
    return ratio(np.asarray(spread), np.asarray(count * ascending.sum(axis=0)))


def _value_of(values: Floats, places: Sequence[int], _: object) -> float:
    """The value of the one group at `places`; what all have together is of no use here."""
    return float(values[places[0]]) if len(places) == 1 else float("nan")
