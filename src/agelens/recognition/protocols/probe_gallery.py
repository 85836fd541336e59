"""Probes searched for in a gallery, as of MORPH II with 3,000 or 10,000 people."""

from __future__ import annotations

from typing import Final

import numpy as np
import pandas as pd

from agelens.errors import TableError
from agelens.recognition.embedding_table import EmbeddingTable, same_model
from agelens.recognition.protocols.identification import (
    BLOCK_BYTES,
    Identification,
    Trials,
    best_mate_ranks,
    rank_rates,
)
from agelens.recognition.protocols.rates import (
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
from agelens.tables import refuse

MOST: Final = 10
"""Ranks are counted up to this one."""
NOT_IN_GALLERY: Final = "its person has no embedding in the gallery"


def probe_gallery(
    probes: EmbeddingTable,
    gallery: EmbeddingTable,
    *,
    resampling: Resampling | None = None,
    block_bytes: int = BLOCK_BYTES,
) -> Identification:
    """Rank-1 (to rank-10) of each probe's search in a gallery.

    MORPH II's custom is one picture a person in either: the oldest as probe, the youngest in the
    gallery. Where the gallery has several of a person, the most similar one counts. A probe whose
    person the gallery does not have has no trial; the gallery's other people are searched
    all the same.

    Raises:
        TableError: two models made the tables; a picture is in both; or no probe's person is in
            the gallery.
    """
    same_model(probes, gallery)
    ids = probes.frame["sample_id"]
    refuse(ids, ids.isin(gallery.frame["sample_id"]), "is a probe and in the gallery, both")
    of_probes, of_gallery = people_of([probes, gallery])
    left, right = known_people(probes), known_people(gallery)
    mates = GenuinePairs(of_probes[left], of_gallery[right], itself=False)
    tried = mates.counts > 0
    if not tried.any():
        raise TableError(
            "no probe's person is in the gallery: people are told by dataset and subject, which "
            f"are {_who(probes)} of the probes and {_who(gallery)} of the gallery"
        )
    ranks = best_mate_ranks(
        probes.vectors[left], gallery.vectors[right], mates, block_bytes=block_bytes
    )
    gaps_years = mates.least_gaps(years_of(probes)[left], years_of(gallery)[right])
    trials = Trials(
        ids[left][tried].to_numpy(dtype=object),
        ranks[tried],
        of_probes[left][tried],
        gaps_years[tried],
    )
    how = resampling or Resampling()
    rates, gaps = rank_rates(trials, MOST, how)
    parts = [
        unusable(probes, "probes"),
        reasons("probes", ids[left][~tried], NOT_IN_GALLERY),
        unusable(gallery, "gallery"),
    ]
    return Identification(
        protocol="probe-gallery",
        model=probes.model,
        trials=trials,
        expected_trials=_expected(probes, of_probes, gallery, of_gallery),
        rates=rates,
        by_gap=gaps,
        pictures={
            "probes": len(probes),
            "gallery": len(gallery),
            "searched": int(right.sum()),
            "people in the gallery": len(np.unique(of_gallery[right])),
        },
        left_out=together(parts),
        age_kinds=age_kinds([probes, gallery]),
        resampling=how,
    )


def _expected(
    probes: EmbeddingTable, of_probes: Codes, gallery: EmbeddingTable, of_gallery: Codes
) -> int:
    known = probes.frame["subject"].notna().to_numpy()
    there = of_gallery[gallery.frame["subject"].notna().to_numpy()]
    return int(np.isin(of_probes[known], there).sum())


def _who(table: EmbeddingTable) -> str:
    """The first row that says who it is, for an error."""
    frame: pd.DataFrame = table.frame.dropna(subset=["subject"])
    if not len(frame):
        return "not stated"
    return f"{frame['dataset'].iloc[0]} {frame['subject'].iloc[0]!r}, ..."
