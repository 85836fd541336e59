"""Tables of other tools, read without a mapping, and what is said where that cannot be."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from agelens.errors import TableError
from agelens.tables import read_predictions
from agelens.tables.mapping import own_name
from agelens.tables.predictions import read_with_notes

PLAIN = """filename,true_age,predicted_age,sex,race,camera
/data/a.jpg,30,31,M,x,left
/data/b.jpg,4,5.5,F,y,right
"""


def written(tmp_path: Path, text: str, name: str = "plain.csv") -> Path:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return path


def test_a_plain_table_is_known_by_its_names_and_that_is_said(tmp_path: Path) -> None:
    table, notes = read_with_notes(written(tmp_path, PLAIN))
    frame = table.frame
    assert frame["sample_id"].tolist() == ["/data/a.jpg", "/data/b.jpg"]
    assert frame["age_years"].tolist() == [30, 4]
    assert frame["estimate_years"].tolist() == [31, 5.5]
    assert frame["gender"].tolist() == ["male", "female"]
    assert frame["ethnicity"].tolist() == ["x", "y"]
    assert frame["camera"].tolist() == ["left", "right"]
    assert frame["age_kind"].tolist() == ["unstated", "unstated"]
    (note,) = notes
    for pair in ("filename is sample_id", "true_age is age_years", "predicted_age is estimate_y"):
        assert pair in note
    assert (own_name("sex"), own_name("Race"), own_name("camera")) == (
        *("gender", "ethnicity", "camera"),
    )


@pytest.mark.parametrize(
    "header",
    [
        "id,age,pred",
        "image,label,prediction",
        "Img_Name;Age;Pred Age",
        "file\tground_truth\toutput",
    ],
)
def test_usual_names_in_any_spelling(header: str, tmp_path: Path) -> None:
    mark = next(one for one in ";\t," if one in header)
    frame = read_predictions(written(tmp_path, f"{header}\na{mark}30{mark}31\n")).frame
    row = frame.iloc[0]
    assert (row["sample_id"], row["age_years"], row["estimate_years"]) == ("a", 30, 31)


def test_without_a_name_rows_are_told_apart_by_their_numbers(tmp_path: Path) -> None:
    table, notes = read_with_notes(written(tmp_path, "age,pred\n30,31\n4,5\n"))
    assert table.frame["sample_id"].tolist() == ["row 1", "row 2"]
    assert "told apart by their numbers" in notes[-1]


def test_codes_without_a_meaning_are_left_out_and_the_option_is_said(tmp_path: Path) -> None:
    path = written(tmp_path, "id,age,pred,sex\na,30,31,0\nb,4,5,1\n")
    table, notes = read_with_notes(path)
    assert table.frame["gender"].isna().all()
    assert table.frame["sex"].tolist() == ["0", "1"]
    assert "--columns gender=sex:0=male/1=female" in notes[-1]
    told: Any = {"gender": ("sex", {"0": "male", "1": "female"})}
    assert read_predictions(path, told).frame["gender"].tolist() == ["male", "female"]
    with pytest.raises(TableError, match=r"'sex'.*gender=sex:0=male/1=female"):
        read_predictions(path, {"gender": "sex"})


def test_all_problems_are_told_at_once_with_the_option_to_add(tmp_path: Path) -> None:
    text = "filename,age,true_age,score,low\na,30,30,31,x\na,old,4,5,\n"
    with pytest.raises(TableError) as told:
        read_predictions(written(tmp_path, text))
    lines = str(told.value).splitlines()
    assert "plain.csv" in lines[0]
    for part in (
        "age_years could be age or true_age",
        "no column is estimate_years, what the model says; found: filename, age, true_age, score",
        "filename names several rows alike",
        "'low_years': 1 value(s) where it is not a number: row 0: 'x'",
        "low is low_years",
        "add --columns age_years=age,estimate_years=COLUMN,subject=filename",
    ):
        assert any(part in line for line in lines), part
    frame = read_predictions(
        written(tmp_path, text.replace(",x", ",")),
        {"age_years": "true_age", "estimate_years": "score", "subject": "filename"},
    ).frame
    assert frame["sample_id"].tolist() == ["row 1", "row 2"]
    assert frame["subject"].tolist() == ["a", "a"]


def test_every_bad_value_of_a_table_is_told(tmp_path: Path) -> None:
    text = "sample_id,estimate_years,low_years,high_years\na,inf,3,2\n,30,,\n"
    with pytest.raises(
        TableError, match=r"(?s)is missing.*is beyond 150 years.*is below low_years"
    ):
        read_predictions(written(tmp_path, text))


def test_a_mapping_goes_before_what_names_suggest(tmp_path: Path) -> None:
    path = written(tmp_path, "id,age,pred,other\na,30,31,33\n")
    read = read_predictions(path, {"estimate_years": "other"}).frame
    assert (read["estimate_years"].item(), read["age_years"].item()) == (33, 30)
    frame = pd.DataFrame({"id": ["a"], "age": [30], "pred": [31]}, index=[7])
    assert read_predictions(frame).frame["estimate_years"].item() == 31
