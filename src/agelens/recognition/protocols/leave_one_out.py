"""Leave-one-out identification, as of FG-NET: each picture is searched for among all others."""

from __future__ import annotations

from typing import Final

import numpy as np

from agelens.errors import TableError
from agelens.recognition.embedding_table import EmbeddingTable
from agelens.recognition.protocols.identification import (
    BLOCK_BYTES,
    Identification,
    Trials,
    best_mate_ranks,
    rank_rates,
)
from agelens.recognition.protocols.rates import (
    NO_MATE,
    Codes,
    GenuinePairs,
    Resampling,
    age_kinds,
    known_people,
    people_of,
    reasons,
    together,
    unusable,
    years_of,
)

MOST: Final = 10
"""Ranks are counted up to this one."""


def leave_one_out(
    table: EmbeddingTable,
    *,
    resampling: Resampling | None = None,
    block_bytes: int = BLOCK_BYTES,
) -> Identification:
    """Rank-1 (to rank-10) of each picture's search among all others of the table.

    A picture is found at rank k if k - 1 pictures of other people are at least as similar to
    it as the most similar one of its own person. It is not compared with itself (IEFP's code sets
    that similarity to 0, which beats every negative one; here it is minus infinity).
    The age gap of a trial is that to the person's picture nearest in age: the least that
    recognition has to bridge. The only picture of a person has no trial; it stays among the
    pictures that are searched.

    Raises:
        TableError: no person has two pictures with embeddings.
    """
    (everyone,) = people_of([table])
    usable = known_people(table)
    people, years = everyone[usable], years_of(table)[usable]
    mates = GenuinePairs(people, people, itself=True)
    tried = mates.counts > 0
    if not tried.any():
        raise TableError(
            "no person has two pictures with embeddings in the table, so nobody can be searched "
            "for: it needs a subject, and two pictures of some"
        )
    ids = table.frame["sample_id"][usable]
    vectors = table.vectors[usable]
    ranks = best_mate_ranks(vectors, vectors, mates, block_bytes=block_bytes)
    trials = Trials(
        ids[tried].to_numpy(dtype=object),
        ranks[tried],
        people[tried],
        mates.least_gaps(years, years)[tried],
    )
    how = resampling or Resampling()
    rates, gaps = rank_rates(trials, MOST, how)
    return Identification(
        protocol="leave-one-out",
        model=table.model,
        trials=trials,
        expected_trials=_expected(table, everyone),
        rates=rates,
        by_gap=gaps,
        pictures={"pictures": len(table), "searched": len(vectors)},
        left_out=together([unusable(table, "pictures"), reasons("pictures", ids[~tried], NO_MATE)]),
        age_kinds=age_kinds([table]),
        resampling=how,
    )


def _expected(table: EmbeddingTable, everyone: Codes) -> int:
    known = table.frame["subject"].notna().to_numpy()
    return int((np.bincount(everyone[known])[everyone[known]] > 1).sum())
