"""The NIST-style page: numbers that agree, figures that show something, no pretence."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from agelens.evaluation.nist_errors import Resampling
from agelens.evaluation.nist_quantities import nist_quantities
from agelens.evaluation.reports.nist_page import NistReport, nist_sentences
from agelens.tables import PredictionsTable

People = Callable[..., PredictionsTable]
FAST = Resampling(draws=20)
HOSTILE = "<script>alert('x')</script> $\\frac{ & x"


def test_folder(estimated_people: People, tmp_path: Path) -> None:
    table = estimated_people(
        2000,
        ethnicity=[HOSTILE] * 20 + ["B"] * 1980,
        milliseconds=np.linspace(10, 30, 2000),
        age_kind="estimated",
    )
    found = nist_quantities(table, resampling=FAST)
    NistReport(found).write(tmp_path)
    document = json.loads((tmp_path / "nist.json").read_text())
    assert document == json.loads(json.dumps(NistReport(found).to_dict()))
    assert document["headline_mae"]["value"] == pytest.approx(found.headline.value)
    assert document["milliseconds"]["median"] == pytest.approx(20, abs=0.1)
    assert len(pd.read_csv(tmp_path / "rates.csv")) == len(document["rates"])
    errors = pd.read_csv(tmp_path / "errors.csv")
    assert errors["value"].tolist() == pytest.approx([row["value"] for row in document["errors"]])
    html = (tmp_path / "index.html").read_text()
    assert "no NIST results" in html
    assert "themselves estimates" in html
    assert "<script" not in html
    pictures = {picture.stem for picture in tmp_path.glob("*.png")}
    assert pictures == {
        *("mae_by_sex_and_age", "challenge", "score_curve", "range", "mae_by_quality"),
    }
    for name in pictures:
        assert f'href="{name}.png"' in html
        assert len(pd.read_csv(tmp_path / f"{name}.csv")), name
        assert np.asarray(Image.open(tmp_path / f"{name}.png").convert("L")).std() > 5, name


def test_sentences_say_both_rates_and_what_is_missing(estimated_people: People) -> None:
    table = estimated_people(400, gender=None)
    lines = nist_sentences(nist_quantities(table, resampling=FAST))
    assert lines[0].startswith("Headline: nobody of known sex")
    (line,) = (one for one in lines if one.startswith("Challenge 25"))
    assert "of those under 18 pass" in line
    assert "of those 13-17" in line
    assert "of those older are asked" in line
    assert any("no gender" in one for one in lines)
    assert any("no milliseconds" in one for one in lines)


def test_people_of_one_age_have_a_page(estimated_people: People, tmp_path: Path) -> None:
    frame = estimated_people(3, age_years=[70.0, 71.0, 72.0]).frame.drop(columns="yaw_proxy")
    NistReport(nist_quantities(PredictionsTable(frame), resampling=FAST)).write(tmp_path)
    document = json.loads((tmp_path / "nist.json").read_text())
    (row,) = (
        row
        for row in document["rates"]
        if (row["quantity"], row["at"], row["group"])
        == ("challenge_false_positive", "25", "everybody")
    )
    assert (row["share"], row["samples"], row["high"]) == (None, 0, 1.0)
    html = (tmp_path / "index.html").read_text()
    assert "nobody known of those under 18 pass" in html
    assert "near 13-16" in html
    assert not (tmp_path / "range.png").exists()
