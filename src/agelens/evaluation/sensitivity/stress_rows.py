"""The tables of what damage does: a row a condition, a row a corruption."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import pandas as pd

from agelens.evaluation.bootstrap import percentile_interval
from agelens.evaluation.bootstrap.groupings import Codes
from agelens.evaluation.groups.group_rows import FEW, Row
from agelens.evaluation.metrics.sums import ratio
from agelens.evaluation.rates import rate
from agelens.evaluation.sensitivity.conditions import Condition
from agelens.evaluation.sensitivity.damage_sums import DamageSums
from agelens.evaluation.sensitivity.estimates import StressEstimates
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
            row |= _ends(name, of_draws, level)
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
                row |= _ends(quantity, draws, level)
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


def _ends(name: str, draws: Floats | None, level: float) -> Row:
    low, high = (np.nan, np.nan) if draws is None else percentile_interval(draws, level)
    return {f"{name}_low": low, f"{name}_high": high}
