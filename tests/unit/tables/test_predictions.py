"""The predictions table: dtypes, checks, and the way to disk and back."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agelens.ages import AgeScale
from agelens.errors import TableError, UnknownNameError, UsageError
from agelens.tables import (
    NO_ESTIMATE,
    PREDICTION_COLUMNS,
    PredictionsTable,
    SampleTable,
    read_predictions,
    write_predictions,
)

SCALE = AgeScale((0.25, 1, 2, 10))

words = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=6)
estimates = st.fixed_dictionaries(
    {"estimate_years": st.floats(-5, 120)},
    optional={
        "age_years": st.floats(0, 120),
        "gender": st.sampled_from(["female", "male"]),
        "gender_estimate": st.sampled_from(["female", "male"]),
        "subject": words | st.sampled_from(["007", "NA", "nan"]),
        "seed": st.integers(0, 2**53),
        "model": words,
        "fold": st.integers(0, 9),
        "yaw_proxy": st.floats(-1, 1, width=32),
        "interval_level": st.floats(0.01, 0.99),
    },
)


def table(**columns: Any) -> PredictionsTable:
    count = max(len(values) for values in columns.values())
    given = {"sample_id": [f"d/{row}" for row in range(count)], "estimate_years": 30.0}
    return PredictionsTable.from_columns(
        pd.DataFrame({**given, **columns}, index=range(count)).assign(age_kind="real")
    )


@st.composite
def tables(draw: st.DrawFn) -> PredictionsTable:
    rows = draw(st.lists(estimates, min_size=1, max_size=5))
    frame = pd.DataFrame(rows, dtype=object).assign(
        sample_id=[f"d/{row}" for row in range(len(rows))], age_kind="real"
    )
    if not draw(st.booleans()):
        return PredictionsTable.from_columns(frame)
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    posterior = rng.dirichlet(np.ones(len(SCALE)), len(rows)).astype(np.float32)
    posterior[draw(st.integers(0, len(rows) - 1))] = np.nan
    plain = PredictionsTable.from_columns(frame)
    return PredictionsTable(plain.frame, posterior, SCALE)


@given(table=tables(), kind=st.sampled_from(["csv", "parquet"]))
@settings(max_examples=40)
def test_predictions_come_back_from_disk_identical(table: PredictionsTable, kind: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"predictions.{kind}"
        write_predictions(table, path)
        again = read_predictions(path)
        assert [entry.name for entry in Path(folder).iterdir()] == [path.name]
    pd.testing.assert_frame_equal(again.frame, table.frame, check_exact=True)
    assert again.scale == table.scale
    assert (again.distribution is None) == (table.distribution is None)
    if again.distribution is not None and table.distribution is not None:
        np.testing.assert_array_equal(again.distribution, table.distribution)


def test_columns_have_a_fixed_order_and_compact_dtypes() -> None:
    frame = table(seed=[3], sharpness=[0.5], makeup=["none"]).frame
    assert list(frame.columns) == [*PREDICTION_COLUMNS, "sharpness", "makeup"]
    assert frame["estimate_years"].dtype == np.float64
    assert frame["sharpness"].dtype == np.float32
    assert frame["seed"].dtype == pd.Int64Dtype()
    assert frame["gender_estimate"].cat.categories.tolist() == ["female", "male"]


def test_a_missing_estimate_keeps_its_row_and_gets_a_status() -> None:
    frame = table(estimate_years=[30, None, np.nan], status=[None, "no_face", None]).frame
    assert frame["status"].tolist() == ["ok", "no_face", NO_ESTIMATE]
    assert frame["estimate_years"].isna().tolist() == [False, True, True]


def test_estimates_take_over_the_labels_of_their_samples() -> None:
    samples = SampleTable.from_columns(
        {
            "sample_id": ["d/1", "d/2"],
            "dataset": "d",
            "path": ["1.jpg", "2.jpg"],
            "age_years": [20.0, 30.0],
            "age_kind": "real",
            "subject": ["a", "b"],
        }
    )
    posterior = np.eye(4, dtype=np.float32)[:2]
    made = PredictionsTable.from_samples(
        samples,
        {"estimate_years": [21.0, 29.0], "model": "toy", "seed": 0},
        distribution=posterior,
        scale=SCALE,
    )
    assert made.frame["subject"].tolist() == ["a", "b"]
    assert made.frame["model"].tolist() == ["toy", "toy"]
    assert made.scale == SCALE
    bare = PredictionsTable.from_columns({"sample_id": ["d/2"], "estimate_years": [29.0]})
    assert bare.with_labels(samples).frame["age_years"].tolist() == [30.0]
    with pytest.raises(TableError, match=r"'sample_id'.*not among the samples.*row 0: 'd/3'"):
        table(sample_id=["d/3"]).with_labels(samples)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"estimate_years": ["3O"]}, "'estimate_years'.*not a number: row 0: '3O'"),
        ({"age_years": ["old"]}, "'age_years'.*not a number: row 0: 'old'"),
        ({"estimate_years": [np.inf]}, "'estimate_years'.*beyond 150 years"),
        ({"estimate_years": [99999.0]}, "'estimate_years'.*beyond 150 years"),
        ({"estimate_years": [None], "status": ["ok"]}, "missing though the status is ok: row 0"),
        ({"low_years": [3]}, "'high_years'.*missing beside a low_years"),
        ({"high_years": [3]}, "'low_years'.*missing beside a high_years"),
        ({"low_years": [3], "high_years": [2]}, "'high_years'.*below low_years: row 0: 2"),
        ({"interval_level": [90]}, "'interval_level'.*between 0 and 1: row 0: 90"),
        ({"gender_estimate": ["F"]}, "'gender_estimate'.*female, male: row 0: 'F'"),
        ({"seed": [0.5]}, "'seed'.*whole number"),
        ({"sample_id": [None]}, "'sample_id'.*missing"),
        ({"path": ["/a.jpg"]}, "'path'.*relative posix"),
    ],
)
def test_a_prediction_that_does_not_fit_is_named(change: dict[str, Any], message: str) -> None:
    with pytest.raises(TableError, match=message):
        table(**change)


def test_an_age_without_its_kind_is_refused() -> None:
    columns = {"sample_id": ["a"], "estimate_years": [3.0], "age_years": [3.0]}
    with pytest.raises(TableError, match=r"'age_kind'.*missing beside an age"):
        PredictionsTable.from_columns(columns)


def test_a_sample_repeats_only_under_another_model_or_seed() -> None:
    same = ["d/1", "d/1"]
    assert len(table(sample_id=same, model=["a", "b"])) == 2
    assert len(table(sample_id=same, model=["a", "a"], seed=[0, 1])) == 2
    with pytest.raises(TableError, match=r"same model and seed: row 0: 'd/1', row 1: 'd/1'"):
        table(sample_id=same, model=["a", "a"])
    with pytest.raises(TableError, match="same model and seed"):
        table(sample_id=same)


def test_tables_of_several_runs_join() -> None:
    first = table(model=["a", "a"], subject=["x", "y"])
    posterior = np.eye(4, dtype=np.float32)[:2]
    other = table(model=["b", "b"], sharpness=[0.5, 0.6])
    second = PredictionsTable(other.frame, posterior, SCALE)
    both = PredictionsTable.concat([first, second])
    assert both.frame["model"].tolist() == ["a", "a", "b", "b"]
    assert both.frame["sharpness"].isna().tolist() == [True, True, False, False]
    assert both.distribution is not None
    assert np.isnan(both.distribution[:2]).all()
    np.testing.assert_array_equal(both.distribution[2:], posterior)
    third = PredictionsTable(table(model=["c", "c"]).frame, posterior, AgeScale.yearly(0, 3))
    with pytest.raises(TableError, match=r"different ages cannot be joined: .*0\.25,1-2,10"):
        PredictionsTable.concat([second, third])


def probabilities(count: int, first: int = 0) -> dict[str, list[float]]:
    return {f"p_{first + age:03d}": [1 / count] for age in range(count)}


def test_the_number_of_a_probability_is_the_age_where_no_scale_is_stated() -> None:
    columns = {"sample_id": ["a"], "estimate_years": [3.0]}
    assert PredictionsTable.from_columns(columns | probabilities(101)).scale == AgeScale.yearly(
        0, 100
    )
    stated = columns | probabilities(4) | {"age_scale": "0.25,1-2,10"}
    assert PredictionsTable.from_columns(stated).scale == SCALE
    assert PredictionsTable.from_columns(columns | probabilities(4), SCALE).scale == SCALE
    with pytest.raises(TableError, match="is to be read as 0-3"):
        PredictionsTable.from_columns(stated, AgeScale.yearly(0, 3))


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (probabilities(3, first=16), "must be p_000 to p_002.*found p_016 to p_018"),
        (probabilities(3) | {"p_001": [0.9]}, r"p_000 to p_002: row 0 .* sum to 1"),
        (probabilities(3) | {"p_001": [None]}, "NaN"),
        (probabilities(3) | {"p_001": ["x"]}, "'p_001'.*not a number: row 0: 'x'"),
        (probabilities(3) | {"age_scale": "0-100"}, r"101 ages 0-100 has shape"),
        (probabilities(3) | {"age_scale": "young"}, "'age_scale'.*'young'"),
        (probabilities(1), "at least 2 ages"),
    ],
)
def test_a_distribution_that_is_none_is_refused(columns: dict[str, Any], message: str) -> None:
    identity = {"sample_id": ["a"], "estimate_years": [3.0]}
    with pytest.raises(TableError, match=message):
        PredictionsTable.from_columns(identity | columns)


def test_a_distribution_needs_a_scale() -> None:
    frame = table(sample_id=["a"]).frame
    with pytest.raises(TableError, match="needs the scale"):
        PredictionsTable(frame, np.eye(2, dtype=np.float32)[:1])


OTHER = """file,pred,label,sex,makeup,prob_0,prob_1
a.jpg,31.5,30,0,yes,0.25,0.75
b.jpg,,28,1,no,,
c.jpg,nan,28,,no,0.5,0.5
"""
MAPPING: Any = {
    "sample_id": "file",
    "estimate_years": "pred",
    "age_years": "label",
    "gender": ("sex", {"0": "male", "1": "female"}),
    "p_000": "prob_0",
    "p_001": "prob_1",
}


def test_another_tools_file_is_read_by_a_mapping(tmp_path: Path) -> None:
    path = tmp_path / "other.csv"
    path.write_text(OTHER, encoding="utf-8")
    read = read_predictions(
        path,
        MAPPING,
        constants={"age_kind": "apparent", "model": "other"},
        scale=AgeScale((20.0, 40.0)),
    )
    assert read.frame["estimate_years"].isna().tolist() == [False, True, True]
    assert read.frame["status"].tolist() == ["ok", NO_ESTIMATE, NO_ESTIMATE]
    assert read.frame["gender"].astype(object).where(read.frame["gender"].notna()).tolist()[:2] == [
        "male",
        "female",
    ]
    assert read.frame["model"].tolist() == ["other"] * 3
    assert read.frame["makeup"].tolist() == ["yes", "no", "no"]
    assert read.distribution is not None
    assert read.distribution[0].tolist() == [0.25, 0.75]
    assert np.isnan(read.distribution[1]).all()


def test_a_mapping_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.csv"
    path.write_text(OTHER, encoding="utf-8")
    kind = {"age_kind": "real"}
    with pytest.raises(TableError, match=r"no column age, which age_years .*found: file, pred"):
        read_predictions(path, MAPPING | {"age_years": "age"}, constants=kind)
    with pytest.raises(UnknownNameError, match=r"'gendr'.*'gender'"):
        read_predictions(path, {"gendr": "sex"})
    with pytest.raises(TableError, match=r"'sex'.*not one of '0': row 1: '1'"):
        read_predictions(path, MAPPING | {"gender": ("sex", {"0": "male"})}, constants=kind)
    with pytest.raises(UsageError, match="age_years is given both"):
        read_predictions(path, MAPPING, constants={"age_years": 3})


def test_ages_as_words_in_a_file_are_named_by_row(tmp_path: Path) -> None:
    path = tmp_path / "words.csv"
    path.write_text("sample_id,estimate_years\na,30\nb,thirty\n", encoding="utf-8")
    with pytest.raises(TableError, match=r"'estimate_years'.*not a number: row 1: 'thirty'"):
        read_predictions(path)


def test_a_table_says_what_is_in_it() -> None:
    whole = table(model=["a", "a", "a"], estimate_years=[3.0, 4.0, None])
    assert repr(whole) == "PredictionsTable(3 estimates by a: 2 ok, 1 no_estimate)"
    assert "<table" in whole._repr_html_()
    distributed = PredictionsTable(whole.frame, np.full((3, 2), 0.5), AgeScale.yearly(0, 1))
    assert "over the ages 0-1" in repr(distributed)


def test_an_empty_table_is_a_table(tmp_path: Path) -> None:
    empty = PredictionsTable.from_columns({"sample_id": [], "estimate_years": []})
    assert len(empty) == 0
    write_predictions(empty, tmp_path / "p.parquet")
    pd.testing.assert_frame_equal(
        read_predictions(tmp_path / "p.parquet").frame, empty.frame, check_exact=True
    )


def test_ages_that_nobody_has_are_told_with_what_else_is_wrong(tmp_path: Path) -> None:
    path = tmp_path / "theirs.csv"
    path.write_text("file,age,pred\na.jpg,400,31\nb.jpg,20,x\n", encoding="utf-8")
    with pytest.raises(TableError) as caught:
        read_predictions(path)
    assert "row 1: 'x'" in str(caught.value)
    assert "column 'age_years': 1 ages that nobody has, such as 400" in str(caught.value)
    path.write_text("file,pred\nb.jpg,x\n", encoding="utf-8")
    with pytest.raises(TableError, match="no column is age_years, the true age"):
        read_predictions(path)
