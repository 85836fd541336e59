"""From labelled predictions of a model to the calibration that its card will carry."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from statistics import NormalDist
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from agelens.errors import UsageError
from agelens.evaluation.bootstrap.groupings import person_codes
from agelens.evaluation.conformal import (
    TOLERANCE,
    CalibratedLevel,
    FitBias,
    Labelled,
    Way,
    calibrate_level,
    correct_bias,
    people_needed,
)
from agelens.evaluation.groups import age_bands, group_words
from agelens.evaluation.rates import rate
from agelens.evaluation.table_checks import check_unlabelled, check_unmeasurable, tally
from agelens.inference.answers import Answers, OutputSpec, read_answers
from agelens.inference.calibration import Calibration
from agelens.inference.cards import Card
from agelens.tables import PredictionsTable
from agelens.version import __version__

_TOLERANCE_YEARS: Final = 0.01
_REMEDY: Final = "Make them with `agelens predict`, or give a chip store"


def uncalibrated_outputs(
    predictions: PredictionsTable, card: Card
) -> tuple[NDArray[np.int64], Answers]:
    """The rows [N] of a table that have an answer of the model of `card`, and the answers.

    A model's distribution is in the table. One that answers with an age and its spread has an
    interval there, which says the spread, as long as no calibration has moved it.

    Raises:
        UsageError: the table names other models, its distributions lie over other ages, or
            neither distribution nor spread is there.
    """
    models = tally(predictions.frame["model"])
    if set(models) - {card.name}:
        raise UsageError(
            f"the predictions are of {', '.join(models)}, the card is of {card.name}: a model is "
            "calibrated on its own predictions"
        )
    spec = card.answer
    if spec is None:
        raise UsageError(f"{card.name} answers no ages: there is nothing to calibrate")
    if spec.kind == "mean-spread":
        return _by_spread(predictions.frame, spec)
    if predictions.distribution is None:
        raise UsageError(
            f"the predictions of {card.name} are without its distributions (p_000 and so on), "
            f"from which its own intervals are taken. {_REMEDY}"
        )
    if predictions.scale != spec.scale:
        raise UsageError(
            f"the predictions lie over the ages {predictions.scale}, the answers of {card.name} "
            f"over {spec.scale}: they are not its predictions"
        )
    rows = np.flatnonzero(~np.isnan(predictions.distribution[:, 0]))
    # However it was answered, what is stored is the posterior; only its point is the card's.
    stored = OutputSpec(spec.scale, point=spec.point, threshold=spec.threshold)
    return rows, read_answers(predictions.distribution[rows], stored)


def _by_spread(frame: pd.DataFrame, spec: OutputSpec) -> tuple[NDArray[np.int64], Answers]:
    needed = ("estimate_years", "low_years", "high_years", "interval_level")
    rows = np.flatnonzero(frame[list(needed)].notna().all(axis=1))
    age, low, high, level = (frame[name].to_numpy(np.float64)[rows] for name in needed)
    quantiles = {one: NormalDist().inv_cdf((1 + one) / 2) for one in np.unique(level).tolist()}
    reach = high - age
    if not rows.size or np.abs(np.maximum(age - reach, 0) - low).max() > _TOLERANCE_YEARS:
        raise UsageError(
            "the intervals in the predictions are not the network's own: about the estimate, as "
            f"far up as down. {_REMEDY}"
        )
    spread = reach / np.array([quantiles[one] for one in level.tolist()])
    return rows, Answers(spec, age, age, None, spread)


_FOLDS_MARGIN: Final = 1.5
"""A fold lacks a fifth of the people, and must leave enough of each group to correct by."""
LEVELS: Final = (0.5, 0.8, 0.9, 0.95)
EVERYBODY: Final = "everybody"


@dataclass(frozen=True, slots=True, eq=False)
class CalibrationFinding:
    """A calibration, and how often and how widely its intervals hold.

    `measured` has a row for each level and group: `level`, `grouping` and `group` (everybody,
    then each `age_band` of true age, each word of the calibration's column, and where each dataset
    is held, each dataset and its age bands), `samples`,
    `own_coverage` and `own_width_years` of the network's intervals, `coverage` and `width_years`
    of the calibrated ones, each found without the people it is measured on; `coverage_low` is what
    the true coverage is at least, with 95 % confidence. `levels` have the intervals of each row.
    """

    calibration: Calibration
    measured: pd.DataFrame
    levels: tuple[CalibratedLevel, ...] = ()


def calibrate_model(
    predictions: PredictionsTable,
    card: Card,
    *,
    levels: Sequence[float] = LEVELS,
    way: Way | None = None,
    hold: Sequence[str] = (),
    bias: bool = False,
    mix_age_kinds: bool = False,
    seed: int = 0,
) -> CalibrationFinding:
    """Calibrate the intervals of the model of `card` on people whom it was not trained on.

    Args:
        predictions: the model's, with its answers (see `uncalibrated_outputs`) and ages.
        card: of the model.
        levels: shares that intervals are to hold, strictly between 0 and 1.
        way: how intervals are corrected; None moves both ends by the same years. Its column
            ``gender`` takes the estimated gender where the table has it, since that is what is
            known in use.
        hold: columns each of whose words is held as often as everybody, see `held_groups`.
        bias: also fit a curve that removes bias, for a population of the same ages.
        mix_age_kinds: whether real, apparent and estimated ages may be taken together.
        seed: of the folds that coverage is measured by.

    Raises:
        TableError: no row has an age.
        UsageError: a sample has several estimates; kinds of age are mixed; the predictions are
            another model's, or without answers; too few rows for a level; a level that is none.
    """
    check_levels(levels)
    frame = predictions.frame
    check_unlabelled(frame)
    check_unmeasurable(frame, mix_age_kinds=mix_age_kinds)
    rows, answers = uncalibrated_outputs(predictions, card)
    known = frame["age_years"].notna().to_numpy()[rows]
    used = frame.iloc[rows[known]]
    way = way or Way()
    source, groups = _groups(used, way.column)
    sets = used["dataset"].astype(str).to_numpy(dtype=object) if way.each_set is not None else None
    labelled = [
        replace(_labelled(used, _rows(answers, known), level, groups), sets=sets)
        for level in levels
    ]
    fit_bias = partial(correct_bias, scale=card.age_scale) if bias else None
    facts = {**table_facts(frame, used), "groups_from": source}
    return calibration_of(used, labelled, way, hold=hold, fit_bias=fit_bias, seed=seed, facts=facts)


def calibration_of(
    used: pd.DataFrame,
    labelled: Sequence[Labelled],
    way: Way,
    *,
    hold: Sequence[str],
    fit_bias: FitBias | None,
    seed: int,
    facts: Mapping[str, Any],
) -> CalibrationFinding:
    """A calibration from the labelled rows `used`, given as `labelled` once for each level."""
    by_level = [held_groups(used, hold, level=one.level) for one in labelled]
    held = [
        replace(one, held=np.stack([*groups.values()], axis=1) if groups else None)
        for one, groups in zip(labelled, by_level, strict=True)
    ]
    found = [calibrate_level(one, way, seed=seed, fit_bias=fit_bias) for one in held]
    measured = pd.concat(
        [_measured(used, *pair, way.column, hold) for pair in zip(held, found, strict=True)],
        ignore_index=True,
    )
    document = {
        "intervals": [level.intervals.to_json() for level in found],
        "bias": fit_bias(labelled[0]).to_json() if fit_bias else None,
        **facts,
        "held": [
            {"level": one.level, "groups": list(groups)}
            for one, groups in zip(held, by_level, strict=True)
        ],
        "seed": seed,
        "measured": _plain(measured),
        "agelens_version": __version__,
    }
    calibration = Calibration.from_json(document)
    assert calibration is not None  # noqa: S101 - only of no document there is none
    return CalibrationFinding(calibration, measured, tuple(found))


def held_groups(
    frame: pd.DataFrame, columns: Sequence[str], *, level: float
) -> dict[str, NDArray[np.bool_]]:
    """Who [N] is of each named group, such as ``gender female``, that can be held at `level`.

    Groups of so few people that there is no correction for them are not among these.
    """
    people, least = person_codes(frame), math.ceil(1 / (1 - level)) * _FOLDS_MARGIN
    found = {}
    for name in columns:
        words = group_words(frame, name)
        for word in words.cat.categories:
            inside = (words == word).to_numpy(dtype=bool)
            if len(np.unique(people[inside])) >= least:
                found[f"{name} {word}"] = inside
    return found


def check_enough(frame: pd.DataFrame, levels: Sequence[float], hold: Sequence[str] = ()) -> None:
    """Raise where there are too few people for what intervals of these levels promise.

    Args:
        frame: of a predictions table; rows without age or estimate count for nothing.
        levels: of the intervals.
        hold: columns of the named groups.

    Raises:
        TableError: no row has an age.
        UsageError: there are too few, of all or of a named group; the numbers needed are told.
    """
    check_unlabelled(frame)
    known = frame[frame["age_years"].notna() & frame["estimate_years"].notna()]
    groups = {"all together": np.ones(len(known), dtype=bool)}
    for name in hold:
        words = group_words(known, name)
        groups |= {
            f"{name} {word}": (words == word).to_numpy(dtype=bool) for word in words.cat.categories
        }
    people = person_codes(known)
    counts = {name: len(np.unique(people[inside])) for name, inside in groups.items()}
    lacking = [
        f"{100 * level:g} % needs {needed} people of each, and has {few}"
        for level in levels
        if (few := _too_few(counts, needed := people_needed(level)))
    ]
    if lacking:
        raise UsageError(
            f"too few people to promise that intervals hold: {'; '.join(lacking)}. With fewer, "
            f"coverage may lie {100 * TOLERANCE:g} points below by chance. Give more, other levels "
            "(--levels), or calibrate all the same (--anyway)"
        )


def _too_few(counts: Mapping[str, int], needed: int) -> str:
    return ", ".join(f"{count} {name}" for name, count in counts.items() if count < needed)


def check_levels(levels: Sequence[float]) -> None:
    """Raise where they are no different shares between 0 and 1.

    Raises:
        UsageError: they are not.
    """
    if not levels or not all(0 < level < 1 for level in levels) or len(set(levels)) < len(levels):
        raise UsageError(f"levels are different shares strictly between 0 and 1, got {levels}")


def _rows(answers: Answers, rows: np.ndarray) -> Answers:
    distribution, spread = answers.distribution, answers.spread_years
    return replace(
        answers,
        estimate_years=answers.estimate_years[rows],
        median_years=answers.median_years[rows],
        distribution=None if distribution is None else distribution[rows],
        spread_years=None if spread is None else spread[rows],
    )


def _groups(frame: pd.DataFrame, column: str | None) -> tuple[str | None, np.ndarray | None]:
    """The column that the groups are taken from, and its words [N]."""
    if column is None:
        return None, None
    estimated = f"{column}_estimate"
    source = estimated if estimated in frame and frame[estimated].notna().any() else column
    if source not in frame or frame[source].isna().all():
        raise UsageError(f"no row has a {column}, so that it cannot be calibrated by {column}")
    words = frame[source].astype(object)
    return source, words.where(words.notna(), None).to_numpy(dtype=object)


def _labelled(
    frame: pd.DataFrame, answers: Answers, level: float, groups: np.ndarray | None
) -> Labelled:
    ages = frame["age_years"].to_numpy(np.float64)
    low, high = answers.interval(level)
    return Labelled(ages, answers.estimate_years, low, high, level, person_codes(frame), groups)


def _measured(
    frame: pd.DataFrame,
    labelled: Labelled,
    found: CalibratedLevel,
    column: str | None,
    hold: Sequence[str],
) -> pd.DataFrame:
    ages = labelled.age_years
    each = pd.DataFrame(
        {
            "own_coverage": (labelled.low_years <= ages) & (ages <= labelled.high_years),
            "own_width_years": labelled.high_years - labelled.low_years,
            "coverage": (found.low_years <= ages) & (ages <= found.high_years),
            "width_years": found.high_years - found.low_years,
        }
    )
    groupings = {EVERYBODY: pd.Series([EVERYBODY] * len(frame)), "age_band": age_bands(frame)}
    if frame["dataset"].nunique() > 1:
        groupings["dataset"] = frame["dataset"]
    groupings |= {name: group_words(frame, name) for name in hold}
    if column is not None and labelled.groups is not None:
        groupings[column] = pd.Series(labelled.groups)
    if labelled.sets is not None:
        groupings |= _by_set(frame, labelled.sets)
    parts = []
    for name, words in groupings.items():
        by = each.groupby(words.to_numpy(dtype=object), sort=False)
        part = by.mean().assign(samples=by.size())
        part["coverage_low"] = [
            rate(inside, labelled.people[by.indices[group]], level=0.9).low
            for group, inside in by["coverage"]
        ]
        part = part.rename_axis("group").reset_index()
        order = {word: place for place, word in enumerate(sorted_words(words))}
        part = part.sort_values("group", key=lambda group: group.map(order))
        parts.append(part.assign(level=labelled.level, grouping=name))
    columns = ["level", "grouping", "group", "samples", *each.columns, "coverage_low"]
    return pd.concat(parts, ignore_index=True)[columns]


def _by_set(frame: pd.DataFrame, sets: np.ndarray) -> dict[str, pd.Series]:
    """Each dataset, and each age band of each."""
    names, bands = pd.Series(sets), age_bands(frame).astype(str).reset_index(drop=True)
    return {"dataset": names, "dataset and age_band": names.astype(str) + " " + bands}


def sorted_words(words: pd.Series) -> list[str]:
    """The words in use, in their own order where they have one."""
    if isinstance(words.dtype, pd.CategoricalDtype):
        return [str(word) for word in words.cat.categories]
    return sorted(map(str, words.dropna().unique()))


def table_facts(frame: pd.DataFrame, used: pd.DataFrame) -> dict[str, Any]:
    """On whom a calibration was found: `used` of the rows of `frame`."""
    return {
        "samples": len(used),
        "people": int(person_codes(used).max()) + 1,
        "rows_of_unknown_people": int(used["subject"].isna().sum()),
        "left_out": len(frame) - len(used),
        "datasets": tally(used["dataset"]),
        "parts": tally(used["split"]),
        "age_kinds": tally(used["age_kind"]),
    }


def _plain(measured: pd.DataFrame) -> list[dict[str, Any]]:
    records = measured.round(4).astype(object).to_dict("records")
    return [{str(name): value for name, value in row.items()} for row in records]
