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

import numpy as np
import pandas as pd

from agelens.errors import UsageError
from agelens.evaluation.bootstrap import person_codes
from agelens.evaluation.sensitivity.damage_sums import DamageSums
from agelens.evaluation.sensitivity.estimates import StressEstimates
from agelens.evaluation.sensitivity.stress_rows import corruption_rows, severity_rows
from agelens.evaluation.table_checks import refuse_mixed_kinds, refuse_unlabelled


@dataclass(frozen=True, slots=True, eq=False)
class StressResult:
    """What was found of `model`, on `faces` of which `clean` have an estimate when undamaged.

    `severities` has a row for each condition, `corruptions` one for each corruption and last
    their mean, each value with the ends of its interval (`NAME_low`, `NAME_high`). `skipped` says
    what was not measured, and why.
    """

    model: str
    reference: str | None
    faces: int
    people: int
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
    refuse_unlabelled(labels)
    if not mix_age_kinds:
        refuse_mixed_kinds(labels)
    clean = ~np.isnan(estimates.estimates[:, 0])
    if not clean.any():
        raise UsageError(f"none of the {len(estimates)} faces has an estimate even undamaged")
    people = person_codes(labels)
    sums = DamageSums(estimates, reference, people)
    drawn = sums.drawn(draws, seed) if draws and people.max() > 0 else None
    errors = np.abs(estimates.estimates[:, 0] - labels["age_years"].to_numpy(np.float64))
    return StressResult(
        estimates.model,
        None if reference is None else reference.model,
        *(len(estimates), int(people.max()) + 1, int(clean.sum())),
        int(labels["age_years"].isna().sum()),
        float(np.nanmean(errors)) if np.isfinite(errors).any() else float("nan"),
        severity_rows(estimates, people, sums, drawn, level),
        corruption_rows(estimates.conditions, sums, drawn, level),
        dict(skipped or {}),
        *(draws, level, seed),
    )
