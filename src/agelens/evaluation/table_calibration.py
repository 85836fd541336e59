"""Calibrated intervals for anybody's estimates: from a labelled table, for later ones."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from agelens.ages import AgeScale
from agelens.errors import TableError, UsageError
from agelens.evaluation.bootstrap.groupings import person_codes
from agelens.evaluation.conformal import Labelled, Way, correct_bias
from agelens.evaluation.model_calibration import (
    LEVELS,
    CalibrationFinding,
    calibration_of,
    check_levels,
    table_facts,
)
from agelens.evaluation.table_checks import check_unlabelled, check_unmeasurable, words_in_use
from agelens.foreign_files import decoding, json_object
from agelens.inference.calibration import Calibration
from agelens.records import Floats
from agelens.tables import PredictionsTable

FORMAT: Final = "agelens-calibration-1"
LEVEL: Final = 0.9
"""Of the intervals that a corrected table gets, unless another is asked for."""
_SCALE: Final = AgeScale.yearly(0, 120)


def calibrate_table(
    predictions: PredictionsTable,
    *,
    levels: Sequence[float] = LEVELS,
    way: Way | None = None,
    hold: Sequence[str] = (),
    bias: bool = False,
    mix_age_kinds: bool = False,
    seed: int = 0,
) -> CalibrationFinding:
    """Calibrate estimates of whatever model, by what their table has of its uncertainty.

    Distributions where it has them, else its intervals, else nothing but the estimates: then an
    interval reaches as far up as down, as far as people who look so old are off.

    Args:
        predictions: with ages; of one model.
        levels: see `calibrate_model`, as all that follows.
        way: corrections by moving both ends, so that its score is ``quantile``.
        hold: columns each of whose words is held as often as everybody.
        bias: also fit a curve that removes bias.
        mix_age_kinds: whether real, apparent and estimated ages may be taken together.
        seed: of the folds that coverage is measured by.

    Raises:
        TableError: no row has an age.
        UsageError: estimates of several models; too few rows for a level; see `calibrate_model`.
    """
    check_levels(levels)
    frame, way = predictions.frame, way or Way()
    check_unlabelled(frame)
    check_unmeasurable(frame, mix_age_kinds=mix_age_kinds)
    models = words_in_use(frame["model"])
    if len(models) > 1:
        raise UsageError(
            f"estimates of {', '.join(models)} need a calibration each: select one's rows"
        )
    base = _base(predictions)
    rows = _usable(predictions, base) & frame["age_years"].notna().to_numpy()
    used = frame[rows].reset_index(drop=True)
    people = person_codes(used)
    estimate, age = (used[name].to_numpy(np.float64) for name in ("estimate_years", "age_years"))
    labelled = [
        Labelled(age, estimate, *_own(predictions, rows, base, level), level, people)
        for level in levels
    ]
    facts = {
        "format": FORMAT,
        "base": base,
        "models": list(models),
        **table_facts(frame, used),
    }
    fit_bias = partial(correct_bias, scale=_SCALE) if bias else None
    return calibration_of(used, labelled, way, hold=hold, fit_bias=fit_bias, seed=seed, facts=facts)


def corrected_table(
    predictions: PredictionsTable,
    calibration: Calibration,
    *,
    level: float = LEVEL,
    measured: CalibrationFinding | None = None,
) -> PredictionsTable:
    """The same estimates with calibrated intervals, and without bias where that was asked for.

    Args:
        predictions: of the model that was calibrated, with or without ages.
        calibration: of `calibrate_table`.
        level: of the intervals.
        measured: what was found on these very predictions: a person with an age then gets the
            interval that was found without it, so that coverage can be measured on the result.

    Raises:
        UsageError: intervals of that level were not calibrated, or another model's predictions.
    """
    document, frame = calibration.document, predictions.frame
    intervals = calibration.at(level)
    if intervals is None:
        known = ", ".join(f"{one.level:g}" for one in calibration.intervals)
        raise UsageError(f"no interval of {level:g} was calibrated; levels: {known}")
    base = str(document["base"])
    models = set(words_in_use(frame["model"])) - set(document["models"])
    if models and document["models"]:
        raise UsageError(
            f"the predictions are of {', '.join(sorted(models))}, the calibration of "
            f"{', '.join(document['models'])}"
        )
    if base != _base(predictions):
        raise UsageError(
            f"the calibration is of {_BASES[base]}, and this table has {_BASES[_base(predictions)]}"
        )
    rows = _usable(predictions, base)
    estimate = frame["estimate_years"].to_numpy(np.float64)[rows]
    low, high = _own(predictions, rows, base, level)
    if calibration.bias is not None:
        estimate, low, high = (calibration.bias.apply(one) for one in (estimate, low, high))
    words = None
    if intervals.column is not None and intervals.column in frame:
        found = frame[intervals.column].astype(object)
        words = found.where(found.notna(), None)[rows].tolist()
    low, high = intervals.apply(estimate, low, high, words)
    if measured is not None:
        at = [one.intervals.level for one in measured.levels].index(intervals.level)
        aged = frame["age_years"].notna().to_numpy()[rows]
        low[aged], high[aged] = measured.levels[at].low_years, measured.levels[at].high_years
        # Corrected for bias by a fold of its own, an interval may miss the estimate of all folds.
        low, high = np.minimum(low, estimate), np.maximum(high, estimate)
    columns = {"estimate_years": estimate, "low_years": low, "high_years": high}
    whole = {name: np.full(len(frame), np.nan) for name in columns}
    for name, values in columns.items():
        whole[name][rows] = values
    if not rows.all():  # an estimate without what was calibrated keeps itself, but no interval
        unread = ~rows
        whole["estimate_years"][unread] = frame["estimate_years"].to_numpy(np.float64)[unread]
    changed = frame.assign(**whole, interval_level=np.where(rows, level, np.nan))
    return PredictionsTable(changed, predictions.distribution, predictions.scale)


def read_calibration(path: Path) -> Calibration:
    """The calibration that `agelens calibrate` wrote beside a corrected table.

    Raises:
        TableError: there is none, or the file is damaged.
    """
    document = json_object(path, TableError)
    with decoding(path, "a calibration of agelens calibrate", TableError):
        if document.get("format") != FORMAT or document["base"] not in _BASES:
            raise ValueError(f"its format is not {FORMAT}")
        found = Calibration.from_json(document)
    assert found is not None  # noqa: S101 - only of no document there is none
    return found


_BASES: Final = {
    "distribution": "distributions over ages",
    "interval": "intervals of its own",
    "estimate": "estimates alone",
}


def _base(predictions: PredictionsTable) -> str:
    if predictions.distribution is not None:
        return "distribution"
    return "interval" if predictions.frame["low_years"].notna().any() else "estimate"


def _usable(predictions: PredictionsTable, base: str) -> NDArray[np.bool_]:
    """Rows [N] with an estimate, and with what their interval is made from."""
    known = predictions.frame["estimate_years"].notna().to_numpy()
    if base == "distribution" and predictions.distribution is not None:
        return np.asarray(known & ~np.isnan(predictions.distribution[:, 0]))
    if base == "interval":
        return np.asarray(known & predictions.frame["low_years"].notna().to_numpy())
    return np.asarray(known)


def _own(
    predictions: PredictionsTable, rows: NDArray[np.bool_], base: str, level: float
) -> tuple[Floats, Floats]:
    """The ends [N] of the model's own intervals, which conformal corrections then move.

    Of tables with intervals these are of the one level that they have, whatever `level` is to be.
    """
    if base == "distribution" and predictions.distribution is not None and predictions.scale:
        return predictions.scale.interval(predictions.distribution[rows], level)
    frame = predictions.frame[rows]
    if base == "interval":
        return frame["low_years"].to_numpy(np.float64), frame["high_years"].to_numpy(np.float64)
    estimate = frame["estimate_years"].to_numpy(np.float64)
    return estimate, estimate.copy()
