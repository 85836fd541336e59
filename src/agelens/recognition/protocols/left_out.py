"""Pictures that take no part in a protocol: named with the reason, never just gone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from agelens.recognition.embeddings import OK, EmbeddingTable

NO_PERSON: Final = "no subject in the table"
NO_MATE: Final = "the only picture of its person; searched for by nobody, still among the others"
COLUMNS: Final = ("table", "sample_id", "why")


def known_people(table: EmbeddingTable) -> NDArray[np.bool_]:
    """Which rows [N] have an embedding and a subject."""
    return table.has_embedding & table.frame["subject"].notna().to_numpy()


def unusable(table: EmbeddingTable, name: str) -> pd.DataFrame:
    """The rows without an embedding or without a subject.

    Args:
        table: whose rows.
        name: of the table, as in ``probes``.
    """
    status = table.frame["status"].astype(str)
    why = ("no embedding: " + status).where(status != OK, NO_PERSON)
    left = ~known_people(table)
    return reasons(name, table.frame["sample_id"][left], why[left])


def reasons(name: str, sample_ids: pd.Series, why: pd.Series | str) -> pd.DataFrame:
    """Rows of `left_out`."""
    frame = pd.DataFrame({"sample_id": sample_ids.astype(str).to_numpy(dtype=object)})
    return frame.assign(table=name, why=why if isinstance(why, str) else why.to_numpy())[
        list(COLUMNS)
    ]


def together(parts: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """All of `parts` under one another."""
    return pd.concat(list(parts), ignore_index=True)
