"""Model-made ages in a sample table are marked as such, and displace no other by themselves."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from agelens.data.predictions import AGE_MODEL, with_estimated_ages
from agelens.errors import TableError
from agelens.tables import PredictionsTable, SampleTable, read_table, write_table


def samples(**columns: object) -> SampleTable:
    names = [f"{row}.jpg" for row in range(4)]
    given = {
        "sample_id": names,
        "path": names,
        "dataset": "own",
        "subject": ["a", "a", "b", "b"],
        "age_years": [30.0, np.nan, np.nan, np.nan],
        "age_low": [np.nan, np.nan, np.nan, 4.0],
        "age_high": [np.nan, np.nan, np.nan, 6.0],
        "age_kind": ["real", None, None, "apparent"],
    }
    return SampleTable.from_columns(given | columns)


def predicted(of: SampleTable) -> PredictionsTable:
    columns = {
        "estimate_years": [20.0, 21.5, np.nan, 23.0],
        "status": ["ok", "ok", "no_face", "ok"],
        "model": "toy",
    }
    return PredictionsTable.from_samples(of, columns)


def test_ages_that_are_there_stay() -> None:
    found = with_estimated_ages(samples(), predicted(samples()), "toy 1").frame
    np.testing.assert_array_equal(found["age_years"], [30, 21.5, np.nan, np.nan])
    assert found["age_kind"].astype(object).where(found["age_kind"].notna(), None).tolist() == [
        *("real", "estimated", None, "apparent")
    ]
    assert found[AGE_MODEL].isna().tolist() == [True, False, True, True]
    assert found["age_low"].iloc[3] == 4


def test_ages_can_be_replaced_where_there_is_an_estimate() -> None:
    found = with_estimated_ages(samples(), predicted(samples()), "toy 1", replace=True).frame
    np.testing.assert_array_equal(found["age_years"], [20, 21.5, np.nan, 23])
    assert found["age_low"].isna().all()
    assert found[AGE_MODEL].tolist()[::3] == ["toy 1", "toy 1"]


def test_an_earlier_models_name_stays_with_its_ages() -> None:
    first = with_estimated_ages(samples(), predicted(samples()), "toy 1")
    again = with_estimated_ages(first, predicted(first), "toy 2")
    assert again.frame[AGE_MODEL].iloc[1] == "toy 1"
    assert again.extra == (AGE_MODEL,)


def test_faces_to_be_looked_at_are_marked() -> None:
    frame = predicted(samples()).frame.assign(refer=["a", "covered", None, None])
    table = with_estimated_ages(samples(), PredictionsTable(frame), "toy 1")
    marked = table.frame["refer"]
    assert marked.isna().tolist() == [True, False, True, True]  # of row 0 another age stays
    assert marked.iloc[1] == "covered"


def test_predictions_of_others_are_refused() -> None:
    other = samples(sample_id=["x", "1.jpg", "2.jpg", "3.jpg"])
    with pytest.raises(TableError, match=r"row 0: '0\.jpg'"):
        with_estimated_ages(samples(), predicted(other), "toy 1")


def test_on_the_command_line_a_store(
    agelens, bright_store, toy_network, write_card, tmp_path: Path
) -> None:
    store = bright_store(tmp_path / "store", samples=6, age_years=np.nan, age_kind=None)

    def as_cut(document):
        cut = {"size": 32, "alignment": "as-shipped", "template": "as-shipped"}
        document["input"] |= cut

    card = write_card(tmp_path / "model", toy_network(size=32), as_cut)
    out = tmp_path / "labelled.parquet"
    ran = agelens("data", "label", "--model", card, store, "-o", out)
    assert ran.status == 0, ran.err
    frame = read_table(out, extra=None).frame
    assert frame["age_years"].notna().all()
    assert frame["subject"].tolist() == ["s0", "s0", "s1", "s1", "s2", "s2"]
    assert frame[AGE_MODEL].tolist() == ["toy 1"] * 6
    refused = agelens("data", "label", "--model", "cc0-resnet10", store, "-o", tmp_path / "x.csv")
    assert refused.status == 2
    assert "the chips in" in refused.err
    assert not (tmp_path / "x.csv").exists()


def test_on_the_command_line_photos(agelens, astronaut_png: Path, tmp_path: Path) -> None:
    names = [astronaut_png.name, "absent.png"]
    table = {"sample_id": names, "path": names, "dataset": "own", "subject": ["a", "b"]}
    write_table(SampleTable.from_columns(table), tmp_path / "t.parquet")
    out = tmp_path / "labelled.parquet"
    command = ("data", "label", "--model", "cc0-resnet10", tmp_path / "t.parquet", "-o", out)
    assert "--root" in agelens(*command).err
    ran = agelens(*command, "--root", astronaut_png.parent)
    assert ran.status == 3
    assert "1 missing" in ran.out
    frame = read_table(out, extra=None).frame
    assert frame["age_years"].iloc[0] > 15
    assert frame["age_kind"].iloc[0] == "estimated"
    assert frame[AGE_MODEL].iloc[0].startswith("cc0-resnet10 ")
    assert frame["subject"].astype(str).tolist() == ["a", "b"]
    assert frame.iloc[1][["age_years", "age_kind", AGE_MODEL]].isna().all()
