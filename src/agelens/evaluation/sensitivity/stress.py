"""What damage does to estimates: shifts, errors, failures, mean corruption error.

Under each condition the faces compared are those with an estimate both clean and damaged, so that
an increase of the error is none of a change of faces; who has no estimate any more is
counted as failed. After ImageNet-C (Hendrycks and Dietterich, ICLR 2019), E being the MAE, s
the severities, and `ref` another model:

    corruption error            mean over s of E[c, s], in years
    increase                    mean over s of E[c, s] - E[clean]
    relative to clean           sum over s of E[c, s] / sum over s of E[clean]
    relative to reference       sum over s of E[c, s] / sum over s of E_ref[c, s]
    increase, to reference's    sum of (E[c, s] - E[clean]) / sum of (E_ref[c, s] - E_ref[clean])

The mean corruption error is the mean over corruptions of each; the last two are the paper's mCE and
relative mCE. Other detectors are no corruption, and stand apart. Intervals are by bootstrap over
people.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd

from agelens.errors import UsageError
from agelens.evaluation.bootstrap.groupings import Codes, person_codes
from agelens.evaluation.groups import FEW, Row, ends
from agelens.evaluation.metrics.base import ratio
from agelens.evaluation.rates import rate
from agelens.evaluation.sensitivity.conditions import Condition
from agelens.evaluation.sensitivity.estimates import DamageSums, StressEstimates
from agelens.evaluation.table_checks import check_mixed_kinds, check_unlabelled
from agelens.records import Floats

MEAN: Final = "mean of corruptions"
OF_REFERENCE: Final = ("relative_to_reference", "increase_to_reference")
OF_CORRUPTION: Final = ("error", "increase", "relative_to_clean", *OF_REFERENCE)
OF_SEVERITY: Final = ("mae", "increase", "shift", "absolute_shift")


def severity_rows(
    estimates: StressEstimates,
    people: Codes,
    sums: DamageSums,
    drawn: Mapping[str, Floats] | None,
    level: float,
) -> pd.DataFrame:
    """A row for each condition, with `OF_SEVERITY` and their intervals, and who failed."""
    values = sums.values()
    there = ~np.isnan(estimates.estimates)
    rows: list[Row] = []
    for place, condition in enumerate(estimates.conditions):
        row: Row = {"corruption": condition.corruption, "severity": condition.severity}
        compared = there[:, 0] & there[:, place]
        alone = len(np.unique(people[compared])) < 2  # one person says nothing of others
        for name in OF_SEVERITY:
            row[name] = float(values[name][0, place])
            of_draws = None if drawn is None or alone else drawn[name][:, place]
            row |= ends(of_draws, level, row[name], f"{name}_")
        row["clean_mae"] = float(values["clean_mae"][0, place])
        row["reference_mae"] = (
            float(values["reference"][0, place]) if "reference" in values else np.nan
        )
        before = there[:, 0] if place else np.ones(len(there), dtype=bool)
        failed = rate(~there[before, place], people[before], level=level)
        row |= {"failed": failed.errors, "of": failed.samples, "failed_share": failed.share}
        row |= {"failed_share_low": failed.low, "failed_share_high": failed.high}
        samples = int(compared.sum())
        rows.append(row | {"samples": samples, "few": samples < FEW})
    return pd.DataFrame(rows)


def corruption_rows(
    conditions: tuple[Condition, ...],
    sums: DamageSums,
    drawn: Mapping[str, Floats] | None,
    level: float,
) -> pd.DataFrame:
    """A row for each corruption, and their mean, with `OF_CORRUPTION` and their intervals."""
    names = dict.fromkeys(one.corruption for one in conditions if one.severity)
    columns: dict[str, list[Any]] = {"corruption": [*names, MEAN] if names else []}
    places = [
        np.array([n for n, one in enumerate(conditions) if one.corruption == name])
        for name in names
    ]
    values = _of_corruptions(sums.values(), places)
    of_draws = None if drawn is None else _of_corruptions(drawn, places)
    rows = []
    for number, name in enumerate(columns["corruption"]):
        row: Row = {"corruption": name}
        for quantity in OF_CORRUPTION:
            if quantity in values:
                row[quantity] = float(values[quantity][0, number])
                draws = None if of_draws is None else of_draws[quantity][:, number]
                row |= ends(draws, level, row[quantity], f"{quantity}_")
        rows.append(row)
    return pd.DataFrame(rows)


def _of_corruptions(means: Mapping[str, Floats], places: list[Codes]) -> dict[str, Floats]:
    """Each quantity [D, corruptions and their mean] by name."""
    if not places:
        return {}
    found: dict[str, list[Floats]] = {}
    for of_it in places:
        total = {name: values[:, of_it].sum(axis=1) for name, values in means.items()}
        one = {
            "error": means["mae"][:, of_it].mean(axis=1),
            "increase": means["increase"][:, of_it].mean(axis=1),
            "relative_to_clean": ratio(total["mae"], total["clean_mae"]),
        }
        if "reference" in means:
            more = total["own"] - total["own_clean"]
            others = total["reference"] - total["reference_clean"]
            one |= dict(
                zip(
                    OF_REFERENCE,
                    (ratio(total["own"], total["reference"]), ratio(more, others)),
                    strict=True,
                )
            )
        for name, values in one.items():
            found.setdefault(name, []).append(values)
    stacked = {name: np.stack(parts, axis=1) for name, parts in found.items()}
    return {
        name: np.concatenate([one, one.mean(axis=1, keepdims=True)], axis=1)
        for name, one in stacked.items()
    }


@dataclass(frozen=True, slots=True, eq=False)
class StressResult:
    """What was found of `model`, on `faces` of which `clean` have an estimate when undamaged.

    `people` is None where no label says who they are. `severities` has a row for each condition,
    `corruptions` one for each corruption and last their mean, each value with the ends of its
    interval (`NAME_low`, `NAME_high`). `skipped` says what was not measured, and why.
    """

    model: str
    reference: str | None
    faces: int
    people: int | None
    clean: int
    unlabelled: int
    clean_mae: float
    severities: pd.DataFrame
    corruptions: pd.DataFrame
    skipped: Mapping[str, str]
    draws: int
    level: float
    seed: int


def stress(
    estimates: StressEstimates,
    reference: StressEstimates | None = None,
    *,
    skipped: Mapping[str, str] | None = None,
    mix_age_kinds: bool = False,
    draws: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> StressResult:
    """Measure what the conditions did.

    Args:
        estimates: of the model.
        reference: of another model, on the same samples and conditions; faces are compared with
            it that both models have estimates of.
        skipped: what was not measured, and why.
        mix_age_kinds: whether real, apparent and estimated ages may be measured together.
        draws: of the bootstrap, by person; 0 leaves the intervals out.
        level: of the intervals.
        seed: of the draws.

    Raises:
        TableError: no face has an age.
        UsageError: kinds of age are mixed; no face has a clean estimate; `draws` or `level` is no
            such thing; or the reference does not fit, see `StressEstimates.for_samples`.
    """
    if draws < 0 or not 0 < level < 1:
        raise UsageError(f"draws are 0 or more, a level is between 0 and 1; got {draws}, {level}")
    labels = estimates.labels.assign(age_low=np.nan, age_high=np.nan)
    check_unlabelled(labels)
    if not mix_age_kinds:
        check_mixed_kinds(labels)
    clean = ~np.isnan(estimates.estimates[:, 0])
    if not clean.any():
        raise UsageError(f"none of the {len(estimates)} faces has an estimate even undamaged")
    people, known = person_codes(labels), bool(labels["subject"].notna().any())
    sums = DamageSums(estimates, reference, people)
    drawn = sums.drawn(draws, seed) if draws and people.max() > 0 else None
    errors = np.abs(estimates.estimates[:, 0] - labels["age_years"].to_numpy(np.float64))
    return StressResult(
        estimates.model,
        None if reference is None else reference.model,
        *(len(estimates), int(people.max()) + 1 if known else None, int(clean.sum())),
        int(labels["age_years"].isna().sum()),
        float(np.nanmean(errors)) if np.isfinite(errors).any() else float("nan"),
        severity_rows(estimates, people, sums, drawn, level),
        corruption_rows(estimates.conditions, sums, drawn, level),
        dict(skipped or {}),
        *(draws, level, seed),
    )
