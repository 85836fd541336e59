"""Published searches for people: leave-one-out, MegaFace's way, and probes in a gallery."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd

from agelens.errors import TableError
from agelens.recognition.embedding_table import EmbeddingTable, Vectors, same_model
from agelens.recognition.protocols.identification import (
    BLOCK_BYTES,
    Identification,
    Trials,
    best_mate_ranks,
    pair_ranks,
    rank_rates,
)
from agelens.recognition.protocols.rates import (
    Codes,
    GenuinePairs,
    Resampling,
    age_kinds,
    known_people,
    people_of,
    years_of,
)
from agelens.records import Floats
from agelens.tables import refuse

MOST: Final = 10
"""Ranks are counted up to this one."""
NO_PERSON: Final = "no subject in the table"
NO_MATE: Final = "the only picture of its person; searched for by nobody, still among the others"
NOT_IN_GALLERY: Final = "its person has no embedding in the gallery"


@dataclass(frozen=True, slots=True, eq=False)
class _Pictures:
    """The rows of a table that have an embedding and a subject, in its order.

    `listed` int64 has the person of every row with a subject, whether embedded or not.
    """

    ids: pd.Series
    vectors: Vectors
    people: Codes
    years: Floats
    listed: Codes

    @classmethod
    def of(cls, table: EmbeddingTable, people: Codes) -> _Pictures:
        usable = known_people(table)
        return cls(
            table.frame["sample_id"][usable],
            table.vectors[usable],
            people[usable],
            years_of(table)[usable],
            people[table.frame["subject"].notna().to_numpy()],
        )

    def trials(self, rows: Codes, ranks: Codes, gap_years: Floats) -> Trials:
        """Searches for the pictures `rows` [T]."""
        ids = self.ids.to_numpy(dtype=object)
        return Trials(ids[rows], ranks, self.people[rows], gap_years)


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
    pictures, mates = _among_themselves(table)
    tried = np.flatnonzero(mates.counts)
    vectors = pictures.vectors
    ranks = best_mate_ranks(vectors, vectors, mates, block_bytes=block_bytes)
    gaps = mates.least_gaps(pictures.years, pictures.years)
    return _measured(
        "leave-one-out",
        {"pictures": table},
        pictures.trials(tried, ranks[tried], gaps[tried]),
        expected=int((np.bincount(pictures.listed)[pictures.listed] > 1).sum()),
        untried={"pictures": (pictures.ids[mates.counts == 0], NO_MATE)},
        counts={"searched": len(vectors)},
        resampling=resampling,
    )


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
    pictures, mates = _among_themselves(table)
    ranks = pair_ranks(pictures.vectors, mates, most=MOST, block_bytes=block_bytes)
    pairs = [mates.pairs(block) for block in mates.blocks()]
    probes, others = (np.concatenate(side) for side in zip(*pairs, strict=True))
    listed = np.bincount(pictures.listed)
    return _measured(
        "megaface",
        {"pictures": table},
        pictures.trials(probes, ranks, np.abs(pictures.years[probes] - pictures.years[others])),
        expected=int((listed * (listed - 1)).sum()),
        untried={"pictures": (pictures.ids[mates.counts == 0], NO_MATE)},
        counts={"searched": len(pictures.ids)},
        resampling=resampling,
    )


def probe_gallery(
    probes: EmbeddingTable,
    gallery: EmbeddingTable,
    *,
    resampling: Resampling | None = None,
    block_bytes: int = BLOCK_BYTES,
) -> Identification:
    """Rank-1 (to rank-10) of each probe's search in a gallery, as of MORPH II.

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
    left, right = map(_Pictures.of, (probes, gallery), people_of([probes, gallery]))
    mates = GenuinePairs(left.people, right.people, itself=False)
    tried = np.flatnonzero(mates.counts)
    if not tried.size:
        raise TableError(
            "no probe's person is in the gallery: people are told by dataset and subject, which "
            f"are {_who(probes)} of the probes and {_who(gallery)} of the gallery"
        )
    ranks = best_mate_ranks(left.vectors, right.vectors, mates, block_bytes=block_bytes)
    gaps = mates.least_gaps(left.years, right.years)
    return _measured(
        "probe-gallery",
        {"probes": probes, "gallery": gallery},
        left.trials(tried, ranks[tried], gaps[tried]),
        expected=int(np.isin(left.listed, right.listed).sum()),
        untried={"probes": (left.ids[mates.counts == 0], NOT_IN_GALLERY)},
        counts={
            "searched": len(right.ids),
            "people in the gallery": len(np.unique(right.people)),
        },
        resampling=resampling,
    )


def _among_themselves(table: EmbeddingTable) -> tuple[_Pictures, GenuinePairs]:
    (people,) = people_of([table])
    pictures = _Pictures.of(table, people)
    mates = GenuinePairs(pictures.people, pictures.people, itself=True)
    if not mates.counts.any():
        raise TableError(
            "no person has two pictures with embeddings in the table, so there is nobody to find: "
            "it needs a subject, and two pictures of some"
        )
    return pictures, mates


def _measured(
    protocol: str,
    tables: Mapping[str, EmbeddingTable],
    trials: Trials,
    *,
    expected: int,
    untried: Mapping[str, tuple[pd.Series, str]],
    counts: Mapping[str, int],
    resampling: Resampling | None,
) -> Identification:
    how = resampling or Resampling()
    rates, gaps = rank_rates(trials, MOST, how)
    left_out = []
    for name, table in tables.items():
        left_out.append(_unusable(name, table))
        if name in untried:
            left_out.append(_reasons(name, *untried[name]))
    return Identification(
        protocol=protocol,
        model=next(iter(tables.values())).model,
        trials=trials,
        expected_trials=expected,
        rates=rates,
        by_gap=gaps,
        pictures={name: len(table) for name, table in tables.items()} | dict(counts),
        left_out=pd.concat(left_out, ignore_index=True),
        age_kinds=age_kinds(list(tables.values())),
        resampling=how,
    )


def _unusable(name: str, table: EmbeddingTable) -> pd.DataFrame:
    """The rows without an embedding or without a subject."""
    status = table.frame["status"].astype(str)
    why = ("no embedding: " + status).where(~table.has_embedding, NO_PERSON)
    left = ~known_people(table)
    return _reasons(name, table.frame["sample_id"][left], why[left])


def _reasons(name: str, sample_ids: pd.Series, why: pd.Series | str) -> pd.DataFrame:
    """Rows of `left_out`."""
    ids = sample_ids.astype(str).to_numpy(dtype=object)
    frame = pd.DataFrame({"table": name, "sample_id": ids})
    return frame.assign(why=why if isinstance(why, str) else why.to_numpy())


def _who(table: EmbeddingTable) -> str:
    """The first row that says who it is, for an error."""
    frame = table.frame.dropna(subset=["subject"])
    if not len(frame):
        return "not stated"
    return f"{frame['dataset'].iloc[0]} {frame['subject'].iloc[0]!r}, ..."
