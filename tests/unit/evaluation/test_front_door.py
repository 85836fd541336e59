"""`agelens.evaluation` as a notebook uses it: whatever one has goes in, a result comes out."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

import agelens.evaluation
from agelens.errors import TableError, UnknownNameError, UsageError
from agelens.evaluation import compare, evaluate, gate, nist
from agelens.evaluation.bootstrap.grouped_metrics import GroupedMetrics, bootstrap
from agelens.evaluation.bootstrap.groupings import Grouping, person_codes
from agelens.evaluation.finished_runs import finished_run
from agelens.evaluation.metrics import METRICS, chosen_metrics
from agelens.tables import PredictionsTable, write_predictions

People = Callable[..., PredictionsTable]
FAST = {"draws": 20}


def high_error(y_true: np.ndarray, y_pred: np.ndarray) -> float:
    """The 90th percentile of the absolute error."""
    return float(np.percentile(np.abs(y_pred - y_true), 90))


@pytest.fixture(scope="module")
def table(estimated_people: People) -> PredictionsTable:
    return estimated_people(300)


def test_every_name_is_a_function_and_no_module() -> None:
    for name in ("evaluate", "compare", "calibrate", "gate", "nist", "stress", "explain"):
        assert name in agelens.evaluation.__all__
        assert callable(getattr(agelens.evaluation, name)), name


def test_a_path_a_frame_and_a_table_give_the_same(table: PredictionsTable, tmp_path: Path) -> None:
    write_predictions(table, tmp_path / "p.parquet")
    found = [
        evaluate(one, **FAST).to_frame().drop(columns="table")
        for one in (table, table.to_frame(), tmp_path / "p.parquet", str(tmp_path / "p.parquet"))
    ]
    for other in found[1:]:
        pd.testing.assert_frame_equal(found[0], other)


def test_another_tools_frame_is_read_by_a_mapping(table: PredictionsTable) -> None:
    theirs = pd.DataFrame(
        {
            "file": table.frame["sample_id"],
            "pred": table.frame["estimate_years"],
            "true": table.frame["age_years"],
            "sex": table.frame["gender"].map({"female": "F", "male": "M"}).astype(str),
        }
    )
    columns = {"sample_id": "file", "estimate_years": "pred", "age_years": "true", "gender": "sex"}
    found = evaluate({"theirs": theirs}, columns=columns, metrics=["mae"], **FAST)
    ours = evaluate(table, metrics=["mae"], **FAST)
    assert found.to_frame()["value"].item() == ours.to_frame()["value"].item()
    assert found.to_frame()["table"].item() == "theirs"
    assert set(found.groups["group"]) >= {"female", "male"}


def test_a_plain_function_is_a_metric_with_its_interval_by_group(table: PredictionsTable) -> None:
    found = evaluate(table, metrics=["mae", high_error], by=["gender"], **FAST)
    frame = found.to_frame().set_index("metric")
    errors = (table.frame["estimate_years"] - table.frame["age_years"]).abs()
    assert frame.loc["high_error", "value"] == pytest.approx(np.percentile(errors, 90))
    assert frame.loc["high_error", "low"] < frame.loc["high_error", "high"]
    rows = found.groups[found.groups["metric"] == "high_error"].set_index("group")
    for group in ("female", "male"):
        own = errors[table.frame["gender"] == group]
        assert rows.loc[group, "value"] == pytest.approx(np.percentile(own, 90))
        assert rows.loc[group, "low"] <= rows.loc[group, "high"]
    assert "high_error" in found.to_html()


def test_materialised_draws_are_those_of_the_fast_way(table: PredictionsTable) -> None:
    def mean_error(y_true: np.ndarray, y_pred: np.ndarray) -> float:
        return float(np.abs(y_true - y_pred).mean())

    columns = {name: table.frame[name].to_numpy() for name in ("age_years", "estimate_years")}
    metrics = {"mae": METRICS["mae"], **chosen_metrics([mean_error])}
    gender = Grouping.by_words(table.frame["gender"])
    measured = GroupedMetrics(metrics, columns, person_codes(table.frame), [gender])
    drawn = bootstrap(measured, draws=30)["gender"]
    np.testing.assert_allclose(drawn["mae"], drawn["mean_error"])


def test_metrics_that_are_none_are_told(table: PredictionsTable) -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'mae'"):
        evaluate(table, metrics=["mea"], **FAST)
    with pytest.raises(UnknownNameError, match="no_such_module"):
        evaluate(table, metrics=["no_such_module.metric"], **FAST)
    with pytest.raises(UsageError, match="names of their own"):
        evaluate(table, metrics=[high_error, high_error], **FAST)
    imported = evaluate(table, metrics=["statistics.correlation"], **FAST).to_frame()
    assert 0.5 < imported["value"].item() <= 1

    def broken(y_true: np.ndarray, y_pred: np.ndarray) -> float:
        raise ValueError("a metric that is wrong")

    with pytest.raises(ValueError, match="a metric that is wrong"):
        evaluate(table, metrics=[broken], **FAST)


@pytest.fixture
def results() -> pd.DataFrame:
    """As `agelens estimate -o` writes them: two faces in one photo, none in another."""
    return pd.DataFrame(
        {
            "photo": ["/album/x/a.jpg", "/album/x/a.jpg", "b.jpg", "c.jpg", "stranger.jpg"],
            "status": ["ok", "ok", "ok", "no_face", "ok"],
            "box_x1": [0, 0, 0, None, 0],
            "box_y1": [0, 0, 0, None, 0],
            "box_x2": [10, 30, 20, None, 20],
            "box_y2": [10, 30, 20, None, 20],
            "estimate_years": [5.0, 31, 44, None, 20],
            "gender": ["female", "male", None, None, "male"],
            "model": "toy",
        }
    )


def test_results_of_estimate_are_measured_beside_labels(
    results: pd.DataFrame, tmp_path: Path
) -> None:
    results.to_csv(tmp_path / "ages.csv", index=False)
    labels = pd.DataFrame({"file": ["x/a.jpg", "x/b.jpg", "c.jpg", "d.jpg"], "age": [30, 40, 9, 1]})
    labels.to_csv(tmp_path / "labels.csv", index=False)
    found = evaluate(
        tmp_path / "ages.csv",
        labels=tmp_path / "labels.csv",
        columns={"path": "file", "age_years": "age"},
        metrics=["mae"],
        age_kind="real",
        **FAST,
    )
    row = found.to_frame().iloc[0]
    assert (row["value"], row["samples"], row["left_out"]) == (2.5, 2, 2)
    (line,) = found.sentences()
    assert "1 photos have several faces: the largest was taken" in line
    assert "1 photos have no label of their own" in line
    assert "1 labels have no photo here" in line
    frame = found.tables[0].predictions.frame
    assert frame["gender_estimate"].iloc[0] == "male"
    assert frame["status"].tolist() == ["ok", "ok", "no_face", "ok"]


def test_results_without_labels_or_of_other_photos_are_refused(results: pd.DataFrame) -> None:
    with pytest.raises(TableError, match="--labels TABLE"):
        evaluate(results)
    labels = pd.DataFrame({"path": ["q.jpg"], "age_years": [3]})
    with pytest.raises(TableError, match=r"none of the 4 photos"):
        evaluate(results, labels=labels)
    with pytest.raises(TableError, match="neither"):
        evaluate(results, labels=pd.DataFrame({"age_years": [3]}))
    with pytest.raises(TableError, match="videos"):
        evaluate(results.assign(frame=1), labels=labels)


@pytest.fixture
def run(table: PredictionsTable, tmp_path: Path) -> Path:
    folder = tmp_path / "first"
    folder.mkdir()
    (folder / "config.yaml").write_text(yaml.safe_dump({"seed": 0, "data": {"stores": "s"}}))
    (folder / "summary.json").write_text("{}")
    (folder / "data.json").write_text(json.dumps({"split": {}, "stores": []}))
    bare = PredictionsTable(table.frame.assign(split=None), table.distribution, table.scale)
    write_predictions(bare, folder / "predictions-test.parquet")
    write_predictions(bare.select(np.arange(50)), folder / "predictions-valid.parquet")
    return folder


def test_a_run_is_measured_by_its_test_part(run: Path) -> None:
    found = evaluate(run, metrics=["mae"], **FAST)
    assert (found.tables[0].name, len(found.tables[0].predictions)) == ("first", 300)
    assert set(found.tables[0].predictions.frame["split"]) == {"test"}
    valid = evaluate(run, part="valid", metrics=["mae"], **FAST)
    assert len(valid.tables[0].predictions) == 50
    with pytest.raises(UsageError, match="parts: test, valid"):
        evaluate(run, part="more")
    assert len(finished_run(run).test_predictions()) == 1


def test_results_show_and_save_themselves(table: PredictionsTable, tmp_path: Path) -> None:
    found = evaluate(table, metrics=["mae"], by=["gender"], **FAST)
    assert repr(found).startswith("<EvaluationReport: table: 300 rows, people unknown")
    assert "<table>" in found._repr_html_()
    page = found.save(tmp_path / "out")
    assert page == tmp_path / "out" / "index.html"
    assert json.loads((tmp_path / "out" / "evaluation.json").read_text()) == found.to_dict()
    html = found.to_html(tmp_path / "page.html")
    assert (tmp_path / "page.html").read_text() == html
    assert "data:image/svg+xml;base64," in html
    with pytest.raises(UsageError, match="not empty"):
        found.save(tmp_path / "out")


def test_gate_nist_and_compare_take_the_same(table: PredictionsTable) -> None:
    found = gate(table, legal=18, max_false_accept=0.2)
    assert found.to_frame()["of"].iloc[0] == "all"
    assert "Challenge age" in repr(found)
    assert nist(table, **FAST).to_dict()["legal_years"] == 18
    other = table.frame.assign(estimate_years=table.frame["estimate_years"] + 9, model="worse")
    compared = compare({"ours": table}, other, flips=50, **FAST)
    assert compared.to_frame()["model"].tolist() == ["ours", "worse"]
    assert "ours is better" in " ".join(compared.sentences())


def test_what_is_no_table_is_told() -> None:
    with pytest.raises(UsageError, match="not int"):
        evaluate(5)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="nothing to measure"):
        evaluate()
