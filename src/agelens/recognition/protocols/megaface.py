"""FG-NET as MegaFace's challenge does it, with the table's other people as distractors."""

from __future__ import annotations

from typing import Final

import numpy as np

from agelens.errors import TableError
from agelens.recognition.embedding_table import EmbeddingTable
from agelens.recognition.protocols.identification import (
    BLOCK_BYTES,
    Identification,
    Trials,
    pair_ranks,
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


def megaface_style(
    table: EmbeddingTable,
    *,
    resampling: Resampling | None = None,
    block_bytes: int = BLOCK_BYTES,
) -> Identification:
    """Rank-1 to rank-10 over all two pictures of a person, everybody else's as distractors.

    Each picture in turn is the only one of its person in the gallery, beside all pictures of
    other people; each further picture of the person is a probe (Kemelmacher-Shlizerman et al.,
    CVPR 2016, as IEFP runs it). It is not MegaFace itself, whose gallery has a million others.

    Raises:
        TableError: no person has two pictures with embeddings.
    """
    (everyone,) = people_of([table])
    usable = known_people(table)
    people, years = everyone[usable], years_of(table)[usable]
    mates = GenuinePairs(people, people, itself=True)
    if not mates.counts.any():
        raise TableError(
            "no person has two pictures with embeddings in the table, so there is no pair to "
            "find: it needs a subject, and two pictures of some"
        )
    ids = table.frame["sample_id"][usable]
    ranks = pair_ranks(table.vectors[usable], mates, most=MOST, block_bytes=block_bytes)
    pairs = [mates.pairs(block) for block in mates.blocks()]
    probes, others = (np.concatenate(side) for side in zip(*pairs, strict=True))
    trials = Trials(
        ids.to_numpy(dtype=object)[probes],
        ranks,
        people[probes],
        np.abs(years[probes] - years[others]),
    )
    how = resampling or Resampling()
    rates, gaps = rank_rates(trials, MOST, how)
    alone = ids[mates.counts == 0]
    return Identification(
        protocol="megaface",
        model=table.model,
        trials=trials,
        expected_trials=_expected(table, everyone),
        rates=rates,
        by_gap=gaps,
        pictures={"pictures": len(table), "searched": int(usable.sum())},
        left_out=together([unusable(table, "pictures"), reasons("pictures", alone, NO_MATE)]),
        age_kinds=age_kinds([table]),
        resampling=how,
    )


def _expected(table: EmbeddingTable, everyone: Codes) -> int:
    counts = np.bincount(everyone[table.frame["subject"].notna().to_numpy()])
    return int((counts * (counts - 1)).sum())
