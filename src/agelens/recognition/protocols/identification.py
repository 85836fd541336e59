"""What protocols that search for people answer with: rank-k rates, also by age gap."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from agelens.errors import TableError
from agelens.evaluation.bootstrap import GroupedMetrics, Grouping, bootstrap
from agelens.evaluation.metrics import Metric
from agelens.evaluation.metrics.sums import Sums
from agelens.recognition.embeddings import EmbeddingModel
from agelens.recognition.protocols.age_gaps import GAP_NAMES, by_gap
from agelens.recognition.protocols.mates import Codes
from agelens.recognition.protocols.rates import Rate, Resampling
from agelens.records import Floats

_EVERYBODY = "everybody"


@dataclass(frozen=True, slots=True, eq=False)
class Trials:
    """T searches: whose (`probe`, sample ids), at which `rank` from 1 the mate was found.

    `person` numbers the probe's person, `gap_years` are the years between probe and mate (NaN
    where an age is unknown).
    """

    probe: NDArray[np.object_]
    rank: Codes
    person: Codes
    gap_years: Floats

    def __len__(self) -> int:
        return len(self.rank)


@dataclass(frozen=True, slots=True, eq=False)
class Identification:
    """The figures of one protocol.

    `rates` are by rank k the shares of trials whose mate was found at rank k or better;
    `by_gap` holds rank-1 by band of age gap. `expected_trials` is how many there would have been
    had every picture an embedding; `left_out` names each picture that took no part, with the
    table it is in and why; `age_kinds` counts what the ages are.
    """

    protocol: str
    model: EmbeddingModel
    trials: Trials
    expected_trials: int
    rates: Mapping[int, Rate]
    by_gap: Mapping[str, Rate]
    pictures: Mapping[str, int]
    left_out: pd.DataFrame
    age_kinds: Mapping[str, int]
    resampling: Resampling

    @property
    def rank_1_missing_as_wrong(self) -> float:
        """Rank-1 if every trial that could not be made had failed."""
        hits = int((self.trials.rank == 1).sum())
        return hits / self.expected_trials if self.expected_trials else float("nan")

    @property
    def gap_unknown(self) -> int:
        """Trials in no band of age gaps."""
        return int(np.isnan(self.trials.gap_years).sum())

    def to_json(self) -> dict[str, Any]:
        """Everything but single pictures, as plain types."""
        wrong = self.rank_1_missing_as_wrong
        return {
            "protocol": self.protocol,
            "model": self.model.to_json(),
            "rank": {str(rank): rate.to_json() for rank, rate in self.rates.items()},
            "rank_1_missing_as_wrong": None if np.isnan(wrong) else wrong,
            "rank_1_by_age_gap": {name: rate.to_json() for name, rate in self.by_gap.items()},
            "trials": len(self.trials),
            "expected_trials": self.expected_trials,
            "age_gap_unknown": self.gap_unknown,
            "pictures": dict(self.pictures),
            "left_out": self.left_out["why"].value_counts().to_dict(),
            "age_kinds": dict(self.age_kinds),
            "bootstrap": {
                "draws": self.resampling.draws,
                "level": self.resampling.level,
                "seed": self.resampling.seed,
            },
        }


def rank_rates(
    trials: Trials, most: int, resampling: Resampling
) -> tuple[dict[int, Rate], dict[str, Rate]]:
    """Rank-1 to rank-`most` of all trials, and rank-1 by age gap; people are resampled.

    A draw leaves out people as probes. They stay among those who are confused with others: the
    intervals are for other probes in the same gallery.
    """
    metrics = {str(rank): _at_most(rank) for rank in range(1, most + 1)}
    groupings = [Grouping.everybody(len(trials)), by_gap(trials.gap_years)]
    _, person = np.unique(trials.person, return_inverse=True)
    columns = {"rank": trials.rank.astype(np.float64)}
    measured = GroupedMetrics(metrics, columns, person.astype(np.int64), groupings)
    values = measured.values()
    drawn = None
    if resampling.draws:
        drawn = bootstrap(measured, draws=resampling.draws, seed=resampling.seed)

    def rate(grouping: Grouping, name: str, group: int) -> Rate:
        inside = grouping.codes == group
        among = len(np.unique(person[inside]))
        nothing = np.full(1, np.nan)
        # One person drawn again and again says nothing about others.
        found = nothing if drawn is None or among < 2 else drawn[grouping.name][name][group]
        value = float(values[grouping.name][name][group])
        return Rate(value, *resampling.ends(found), int(inside.sum()), among)

    everybody, gaps = groupings
    rates = {rank: rate(everybody, str(rank), 0) for rank in range(1, most + 1)}
    return rates, {name: rate(gaps, "1", group) for group, name in enumerate(GAP_NAMES)}


def rank_1_gain(
    before: Identification, after: Identification, resampling: Resampling | None = None
) -> Rate:
    """How much higher rank-1 is `after` than `before`, with a paired interval by person.

    Raises:
        TableError: the two did not make the same trials in the same order.
    """
    if not np.array_equal(before.trials.probe, after.trials.probe):
        raise TableError(
            f"{before.model} and {after.model} were not tested on the same pictures, so their "
            "figures cannot be paired"
        )
    how = resampling or after.resampling
    gain = (after.trials.rank == 1).astype(np.float64) - (before.trials.rank == 1)
    people, person = np.unique(after.trials.person, return_inverse=True)
    metric = {"gain": Metric(Sums(_itself), ("gain",), "share", "higher", "")}
    everybody = [Grouping.everybody(len(gain))]
    measured = GroupedMetrics(metric, {"gain": gain}, person.astype(np.int64), everybody)
    value = float(measured.values()[_EVERYBODY]["gain"][0])
    drawn = np.full(1, np.nan)
    if how.draws and len(people) > 1:
        drawn = bootstrap(measured, draws=how.draws, seed=how.seed)[_EVERYBODY]["gain"][0]
    return Rate(value, *how.ends(drawn), len(gain), len(people))


def _at_most(rank: int) -> Metric:
    statistic = Sums(partial(_hit, rank=rank))
    return Metric(statistic, ("rank",), "share", "higher", f"share found at rank {rank} or better")


def _hit(ranks: ArrayLike, rank: int) -> Floats:
    return (np.asarray(ranks) <= rank).astype(np.float64)


def _itself(values: ArrayLike) -> Floats:
    return np.asarray(values, dtype=np.float64)
