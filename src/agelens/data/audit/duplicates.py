"""Duplicates among pictures that were looked at, as findings about rows of the table."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from agelens.data.audit.near_duplicates import Places, near_duplicate_groups, nearest_matches
from agelens.data.audit.pictures import Pictures
from agelens.data.explore.samples import age_text
from agelens.tables import SampleTable


@dataclass(frozen=True, slots=True, eq=False)
class Duplicates:
    """`groups` by `sample_id`, of those that are not alone; `rows` says how they are alike."""

    groups: pd.Series
    rows: pd.DataFrame


def find_duplicates(table: SampleTable, pictures: Pictures) -> Duplicates:
    """Groups of equal and nearly equal pictures, the exact ones told apart.

    Rows that share one picture share its group. `rows` is `sample_id`, `group`, `alike`
    (``bytes``, ``pixels``, ``near``: the closest kin in the group) and `detail`, the age.
    """
    group = _groups(pictures)[pictures.place] if len(table) else np.empty(0, np.int64)
    sizes = np.bincount(group[group >= 0], minlength=1)
    shared = np.flatnonzero((group >= 0) & (sizes[group] > 1))
    numbers = pd.factorize(group[shared])[0]
    ids = table.frame["sample_id"].astype(object).iloc[shared]
    groups = pd.Series(numbers, index=pd.Index(ids, name="sample_id"), name="group")
    labels = table.frame.iloc[shared]
    rows = pd.DataFrame(
        {
            "sample_id": ids.to_numpy(),
            "group": numbers,
            "alike": _alike(pictures)[pictures.place[shared]],
            "detail": [_label(row) for _, row in labels.iterrows()],
        }
    )
    return Duplicates(groups, rows.sort_values("group", kind="stable", ignore_index=True))


def find_shared(mine: Pictures, theirs: Pictures) -> pd.DataFrame:
    """Pictures that another table has too: `dataset`, `path`, `alike`, `detail` (the other's)."""
    found: list[tuple[int, str, int]] = []
    for alike, other in (
        ("bytes", _equal(mine, theirs, "sha256")),
        ("pixels", _equal(mine, theirs, "pixels")),
        ("near", _nearest(mine, theirs)),
    ):
        taken = {place for place, *_ in found}
        rows = [place for place in np.flatnonzero(other >= 0).tolist() if place not in taken]
        found += [(place, alike, int(other[place])) for place in rows]
    found.sort()
    own = mine.frame[["dataset", "path"]].iloc[[place for place, *_ in found]]
    names = theirs.frame["dataset"].str.cat(theirs.frame["path"], sep=": ")
    return own.assign(
        alike=[alike for _, alike, _ in found], detail=[names.iloc[at] for *_, at in found]
    ).reset_index(drop=True)


def _groups(pictures: Pictures) -> Places:
    """Group [P] of each picture, -1 where it could not be read."""
    frame = pictures.frame
    hashed = frame["hashed"].to_numpy(dtype=bool)
    groups = np.full(len(frame), -1, dtype=np.int64)
    mirrored = None if pictures.mirrored is None else pictures.mirrored[hashed]
    groups[hashed] = near_duplicate_groups(pictures.hashes[hashed], mirrored)
    blank = ~hashed & (frame["status"] == "ok").to_numpy()  # no hash, but pixels to be equal in
    groups[blank] = len(frame) + pd.factorize(frame["pixels"][blank])[0]
    return groups


def _alike(pictures: Pictures) -> np.ndarray:
    alike = np.full(len(pictures.frame), "near", dtype=object)
    for name, word in (("pixels", "pixels"), ("sha256", "bytes")):
        known = pictures.frame[name].notna() & (pictures.frame[name] != "")
        alike[(known & pictures.frame[name].duplicated(keep=False)).to_numpy()] = word
    return alike


def _equal(mine: Pictures, theirs: Pictures, column: str) -> Places:
    known = theirs.frame[theirs.frame[column].fillna("") != ""].drop_duplicates(column)
    where = pd.Series(known.index, index=known[column])
    return mine.frame[column].map(where).fillna(-1).to_numpy(dtype=np.int64)


def _nearest(mine: Pictures, theirs: Pictures) -> Places:
    own, other = (np.flatnonzero(p.frame["hashed"].to_numpy(dtype=bool)) for p in (mine, theirs))
    nearest = np.full(len(mine.frame), -1, dtype=np.int64)
    found = nearest_matches(mine.hashes[own], theirs.hashes[other])
    nearest[own] = np.append(other, -1)[found]
    return nearest


def _label(row: pd.Series) -> str:
    gender = "" if pd.isna(row["gender"]) else f", {row['gender']}"
    return f"age {age_text(row)}{gender}" if age_text(row) != "no age" else f"no age{gender}"
