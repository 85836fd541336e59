"""One evaluation for all predictions, wherever they come from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agelens.errors import UsageError
from agelens.evaluation.bootstrap import (
    GroupedMetrics,
    Grouping,
    bootstrap,
    percentile_interval,
    person_codes,
)
from agelens.evaluation.bootstrap.groupings import Codes
from agelens.evaluation.bootstrap.measured import complete_rows
from agelens.evaluation.evaluation import Evaluation, MetricResult
from agelens.evaluation.metric_choice import choose_metrics, claimed_level
from agelens.evaluation.metric_columns import metric_columns
from agelens.evaluation.metrics import AgeClasses, Metric
from agelens.evaluation.row_counts import count_rows, words_in_use
from agelens.evaluation.table_checks import refuse_unmeasurable
from agelens.records import Floats
from agelens.tables import PredictionsTable


def evaluate(
    predictions: PredictionsTable,
    metrics: Sequence[str] | None = None,
    *,
    age_classes: AgeClasses | None = None,
    mix_age_kinds: bool = False,
    draws: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> Evaluation:
    """Metrics of all rows, with bootstrap intervals clustered by subject.

    A row without estimate or without the label that a metric needs is left out of that metric
    and counted. People are told apart by `subject` within each dataset; a row of unknown
    subject is somebody of its own.

    Args:
        predictions: with one estimate a sample.
        metrics: names out of `METRICS`; None takes all that the table has the columns for.
        age_classes: what `class_accuracy` and `one_off_accuracy` count in.
        mix_age_kinds: whether real, apparent and estimated ages may be measured together.
        draws: of the bootstrap; 0 leaves the intervals out.
        level: of the bootstrap intervals.
        seed: of the draws.

    Raises:
        TableError: no row has a label, or none has the one that a named metric needs.
        UnknownNameError: there is no such metric.
        UsageError: a sample has several estimates; kinds of age are mixed without
            `mix_age_kinds`; intervals of several levels are mixed; a named metric needs a
            distribution or age classes that are not there; `draws` or `level` is no such thing.
    """
    if draws < 0 or not 0 < level < 1:
        raise UsageError(f"draws are 0 or more, a level is between 0 and 1; got {draws}, {level}")
    frame = predictions.frame
    refuse_unmeasurable(frame, mix_age_kinds=mix_age_kinds)
    columns = metric_columns(predictions, age_classes)
    chosen = choose_metrics(columns, metrics)
    interval_level = claimed_level(frame, chosen)
    people = person_codes(frame)
    everybody = Grouping.everybody(len(frame))
    measured = GroupedMetrics(chosen, columns, people, [everybody])
    values = measured.values()[everybody.name]
    drawn = bootstrap(measured, draws=draws, seed=seed)[everybody.name] if draws else {}
    found = {
        name: _result(metric, columns, people, values[name][0], drawn.get(name), level=level)
        for name, metric in chosen.items()
    }
    return Evaluation(
        found,
        count_rows(frame),
        words_in_use(frame["dataset"]),
        words_in_use(frame["model"]),
        interval_level,
        *(level, draws, seed),
    )


def _result(
    metric: Metric,
    columns: Mapping[str, NDArray[Any]],
    people: Codes,
    value: float,
    draws: Floats | None,
    *,
    level: float,
) -> MetricResult:
    rows = complete_rows(columns, metric.needs)
    # Counting is a hundred times as fast as np.unique, which hashes successive numbers badly.
    present = int(np.count_nonzero(np.bincount(people[rows])))
    low = high = float("nan")
    if draws is not None and present > 1:
        low, high = percentile_interval(draws[0], level)
    return MetricResult(
        *(float(value), low, high, metric.unit, metric.better),
        samples=int(rows.sum()),
        people=present,
        left_out=int((~rows).sum()),
        undefined_draws=0 if draws is None else int(np.isnan(draws[0]).sum()),
    )
