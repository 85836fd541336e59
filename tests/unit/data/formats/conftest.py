"""Synthetic tables for the format tests."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import strategies as st

from agelens.tables import SampleTable

# What a file may be called: any letters, blanks inside, quotes and delimiters too.
FILE_NAMES = st.text(
    st.characters(exclude_categories=["C", "Z"], exclude_characters='/\\:|?*<>"'),
    min_size=1,
    max_size=12,
).filter(lambda name: ".." not in name and not name.startswith("."))


@pytest.fixture(scope="session")
def listed_table() -> Callable[..., SampleTable]:
    """A maker of tables from columns, with ids, a dataset and an age kind filled in."""

    def make(paths: list[str], *, dataset: str = "own", **columns: object) -> SampleTable:
        given = {"age_years": [30.0] * len(paths), "age_kind": ["real"] * len(paths)}
        return SampleTable.from_columns(
            {
                "sample_id": [f"{dataset}/{path}" for path in paths],
                "dataset": [dataset] * len(paths),
                "path": paths,
                **given,
                **columns,
            }
        )

    return make


@pytest.fixture(scope="session")
def tables(listed_table) -> st.SearchStrategy[SampleTable]:
    """Tables of what every list can say: paths, whole ages, genders and parts."""
    rows = st.lists(
        st.tuples(
            FILE_NAMES,
            st.integers(0, 116),
            st.sampled_from(["female", "male"]),
            st.sampled_from(["train", "valid", "test"]),
        ),
        min_size=1,
        max_size=12,
        unique_by=lambda row: row[0],
    )
    return rows.map(
        lambda rows: listed_table(
            [f"{name}.jpg" for name, *_ in rows],
            age_years=[float(age) for _, age, *_ in rows],
            gender=[gender for *_, gender, _ in rows],
            split=[part for *_, part in rows],
        )
    )
