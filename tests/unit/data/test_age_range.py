from __future__ import annotations

import pytest

from agelens.ages import AgeScale
from agelens.data.age_data import inside_ages
from agelens.errors import UsageError
from agelens.tables import SampleTable

SCALE = AgeScale.yearly(16, 70)


def table(*ages: float | None) -> SampleTable:
    return SampleTable.from_columns(
        {
            "sample_id": [f"a/{n}" for n in range(len(ages))],
            "dataset": "a",
            "path": [str(n) for n in range(len(ages))],
            "age_years": list(ages),
            "age_kind": "real",
        }
    )


def test_ages_in_the_scales_cells_are_kept() -> None:
    whole = table(15.5, 16, 70.5, None)
    assert inside_ages(whole, SCALE, "train", "refuse") == (whole, [])


def test_ages_outside_are_counted_with_the_way_out() -> None:
    with pytest.raises(UsageError) as refused:
        inside_ages(table(3, 20, 101, 15), SCALE, "valid", "refuse")
    message = str(refused.value)
    assert "3 of 4 samples of the valid part" in message
    assert "16-70: theirs reach from 3 to 101" in message
    assert "--method.ages, such as 0-102" in message
    assert "--data.outside_ages drop" in message


def test_ages_outside_are_dropped_where_asked() -> None:
    kept, notes = inside_ages(table(3, 20, 71), SCALE, "train", "drop")
    assert kept.frame["age_years"].tolist() == [20]
    assert "2 of 3" in notes[0]
    assert "left out" in notes[0]


def test_nothing_left_is_refused() -> None:
    with pytest.raises(UsageError, match="nothing is left"):
        inside_ages(table(3, 4), SCALE, "train", "drop")
