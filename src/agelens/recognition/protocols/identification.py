"""What protocols that search for people answer with: rank-k rates, also by age gap."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any, Final, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from agelens.errors import TableError
from agelens.evaluation.bootstrap.grouped_metrics import GroupedMetrics, bootstrap
from agelens.evaluation.bootstrap.groupings import Grouping
from agelens.evaluation.metrics.base import Metric, Sums
from agelens.evaluation.reports.page import Section
from agelens.recognition.embedding_table import EmbeddingModel
from agelens.recognition.protocols.rates import Codes, GenuinePairs, Rate, Resampling
from agelens.recognition.protocols.report import ProtocolResult, drawing
from agelens.records import Floats

GAP_EDGES: Final = (5, 10, 20, 30)
"""Where a band of age gaps ends and the next one begins, in years."""

BY_GAP: Final = "age_gap"
_FIRST, _LAST = f"under {GAP_EDGES[0]}", f"{GAP_EDGES[-1]} and more"
GAP_NAMES: Final = (
    _FIRST,
    *(f"{low} to {high - 1}" for low, high in pairwise(GAP_EDGES)),
    _LAST,
)


def by_gap(gap_years: Floats) -> Grouping:
    """The band of each gap [N]; one that is not known is in none.

    ``5 to 9`` holds all from 5 years to just under 10.
    """
    bands = np.searchsorted(GAP_EDGES, gap_years, side="right")
    return Grouping(BY_GAP, GAP_NAMES, np.where(np.isnan(gap_years), -1, bands))


Vectors: TypeAlias = NDArray[np.float32]

BLOCK_BYTES: Final = 64_000_000
"""Of similarities at a time."""


def best_mate_ranks(
    probes: Vectors, gallery: Vectors, mates: GenuinePairs, *, block_bytes: int = BLOCK_BYTES
) -> Codes:
    """The rank [P] of each probe's most similar mate, from 1; 0 where it has no mate.

    Args:
        probes: float32 [P, D], rows of length 1.
        gallery: float32 [G, D], rows of length 1; the probes themselves, if `mates.itself`.
        mates: who is who.
        block_bytes: of similarities at a time.
    """
    ranks = np.zeros(len(probes), dtype=np.int64)
    for block, similar in similarity_blocks(probes, gallery, block_bytes):
        rows, columns = mates.places(block)
        of_mates = similar[rows, columns]
        if mates.itself:
            of_mates[rows + block.start == columns] = -np.inf
        best = np.full(len(similar), -np.inf, dtype=np.float32)
        present, first = np.unique(rows, return_index=True)
        if rows.size:
            best[present] = np.maximum.reduceat(of_mates, first)
        similar[rows, columns] = -np.inf
        above = np.count_nonzero(similar >= best[:, np.newaxis], axis=1)
        ranks[block] = np.where(np.isneginf(best), 0, 1 + above)
    return ranks


def pair_ranks(
    vectors: Vectors, mates: GenuinePairs, *, most: int, block_bytes: int = BLOCK_BYTES
) -> Codes:
    """The rank [T] of every mate of every probe by itself, in the order of `mates.pairs`.

    Args:
        vectors: float32 [N, D], rows of length 1; each is a probe, and in the gallery.
        mates: who is who, with `itself`.
        most: ranks beyond are all `most + 1`.
        block_bytes: of similarities at a time.
    """
    ranks = []
    for block, similar in similarity_blocks(vectors, vectors, block_bytes):
        rows, columns = mates.pairs(block)
        of_mates = similar[rows - block.start, columns]
        similar[mates.places(block)] = -np.inf
        top = max(similar.shape[1] - most, 0)
        similar.partition(top, axis=1)
        nearest = similar[:, top:][rows - block.start]
        ranks.append(1 + np.count_nonzero(nearest >= of_mates[:, np.newaxis], axis=1))
    return np.concatenate([np.zeros(0, dtype=np.int64), *ranks])


def similarity_blocks(
    probes: Vectors, gallery: Vectors, block_bytes: int = BLOCK_BYTES
) -> Iterator[tuple[slice, Vectors]]:
    """Blocks of probes and their cosine similarities [b, G], which may be written to.

    A block is good until the next one is asked for.
    """
    count = max(1, block_bytes // (4 * max(len(gallery), 1)))
    buffer = np.empty((min(count, len(probes)), len(gallery)), dtype=np.float32)
    for start in range(0, len(probes), count):
        block = slice(start, min(start + count, len(probes)))
        similar = buffer[: block.stop - start]
        yield block, np.matmul(probes[block], gallery.T, out=similar)


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


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Identification(ProtocolResult):
    """The figures of a protocol that searches for people.

    `rates` are by rank k the shares of trials whose mate was found at rank k or better;
    `by_gap` holds rank-1 by band of age gap. `expected_trials` is how many there would have been
    had every picture an embedding; `left_out` names each picture that took no part, with the
    table it is in and why.
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

    def document(self) -> dict[str, Any]:
        """Everything but single pictures."""
        return {
            "protocol": self.protocol,
            "model": self.model,
            "rank": self.rates,
            "rank_1_missing_as_wrong": self.rank_1_missing_as_wrong,
            "rank_1_by_age_gap": self.by_gap,
            "trials": len(self.trials),
            "expected_trials": self.expected_trials,
            "age_gap_unknown": self.gap_unknown,
            "pictures": self.pictures,
            "left_out": self.left_out["why"].value_counts().to_dict(),
            "age_kinds": self.age_kinds,
            "bootstrap": self.resampling,
        }

    def rows(self) -> dict[str, Rate]:
        """Rank-1, rank-2 and so on, and rank-1 if what is missing had failed."""
        wrong = Rate.plain(self.rank_1_missing_as_wrong, self.expected_trials, self.rates[1].people)
        ranks = {f"rank-{rank}": rate for rank, rate in self.rates.items()}
        return {**ranks, "rank-1, missing as wrong": wrong}

    def gap_rows(self) -> dict[str, dict[str, Rate]]:
        """Rank-1 by band of age gaps."""
        return {gap: {"rank-1": rate} for gap, rate in self.by_gap.items()}

    def counts(self) -> dict[str, int]:
        """Pictures and searches."""
        return {
            **self.pictures,
            "searches (trials)": len(self.trials),
            "searches if every picture had an embedding": self.expected_trials,
            "searches of unknown age gap": self.gap_unknown,
        }

    def how(self) -> str:
        """What a search is, and when it counts as a hit."""
        return _HOW[self.protocol]

    def charts(self) -> Iterator[Section]:
        """The CMC."""
        words = f"{len(self.trials):,} searches, {100 * self.resampling.level:g} % intervals"
        yield Section("Ranks (CMC)", figures={"cmc": drawing("match_curve", self.rates, words)})

    def missing(self) -> pd.DataFrame:
        """See `left_out`."""
        return self.left_out


_HOW: Final = {
    "leave-one-out": "Each picture is searched for among all others; it is found at rank k if "
    "k - 1 pictures of other people are at least as similar to it as the most similar one of its "
    "own person. The age gap is that to the person's picture nearest in age.",
    "megaface": "Each two pictures of a person, one searched for and one in the gallery, with all "
    "pictures of other people beside it. This is not MegaFace itself, whose gallery has a "
    "million others.",
    "probe-gallery": "Each probe is searched for in the gallery; it is found at rank k if k - 1 "
    "pictures of other people are at least as similar to it as the most similar one of its own "
    "person.",
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
        return Rate(value, *resampling.ends(found, value), int(inside.sum()), among)

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
    return Rate(value, *how.ends(drawn, value), len(gain), len(people))


def _at_most(rank: int) -> Metric:
    statistic = Sums(partial(_hit, rank=rank))
    return Metric(statistic, ("rank",), "share", "higher", f"share found at rank {rank} or better")


def _hit(ranks: ArrayLike, rank: int) -> Floats:
    return (np.asarray(ranks) <= rank).astype(np.float64)


def _itself(values: ArrayLike) -> Floats:
    return np.asarray(values, dtype=np.float64)
