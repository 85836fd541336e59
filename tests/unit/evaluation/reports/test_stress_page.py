"""A stress test's folder: numbers that agree and figures that show something."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from agelens.evaluation.reports.stress_figures import damage_examples, damaged, drawn_face
from agelens.evaluation.reports.stress_page import (
    StressReport,
    corruption_table,
    detector_table,
    stress_sentences,
)
from agelens.evaluation.sensitivity.conditions import (
    CORRUPTIONS,
    MARGIN,
    SEVERITIES,
    Condition,
    conditions,
)
from agelens.evaluation.sensitivity.estimates import StressEstimates
from agelens.evaluation.sensitivity.stress import stress
from agelens.tables import SampleTable

HOSTILE = "<script>alert('x')</script> $\\frac{ & x"


def made(asked: tuple[Condition, ...], faces: int = 40, lost: bool = True) -> StressEstimates:
    random = np.random.default_rng(0)
    ages = random.integers(5, 70, faces).astype(float)
    labels = SampleTable.from_columns(
        {
            "sample_id": [f"secret{n}" for n in range(faces)],
            "dataset": "toys",
            "path": "a.png",
            "age_years": ages,
            "age_kind": "real",
        }
    ).frame
    severity = np.array([one.severity for one in asked])
    years = ages[:, np.newaxis] + random.normal(severity, 2 + severity, (faces, len(asked)))
    if lost:
        years[:15, severity == 5] = np.nan
    statuses = np.where(np.isnan(years), "no_face", "ok").astype(object)
    return StressEstimates(HOSTILE, labels, asked, years, statuses)


ALL = conditions(["blur", "noise", "jpeg", "margin", "detector"], ["dlib"])


def test_folder(tmp_path: Path) -> None:
    table = made(ALL)
    found = stress(table, made(ALL), skipped={"rotation": "of <b>"}, draws=20)
    StressReport(found, table).write(tmp_path)
    document = json.loads((tmp_path / "stress.json").read_text())
    assert document == json.loads(json.dumps(StressReport(found, table).to_dict()))
    severities = pd.read_csv(tmp_path / "severities.csv")
    assert severities["mae"].tolist() == pytest.approx([r["mae"] for r in document["severities"]])
    corruptions = pd.read_csv(tmp_path / "corruptions.csv")
    assert corruptions["error"].tolist() == pytest.approx(
        [row["error"] for row in document["corruptions"]]
    )
    html = (tmp_path / "index.html").read_text()
    assert "no proof of age" in html
    assert "Not measured: rotation: of &lt;b&gt;" in html
    assert "<script" not in html
    assert "secret" not in html
    assert "class=few" in html  # 25 faces are left at severity 5
    for name in ("error_by_severity", "shift_by_severity", "failures_by_severity"):
        assert f'href="{name}.png"' in html
        assert len(pd.read_csv(tmp_path / f"{name}.csv")), name
        assert np.asarray(Image.open(tmp_path / f"{name}.png").convert("L")).std() > 5, name
    with Image.open(tmp_path / "examples.png") as examples:
        assert examples.size[1] > 400  # four damages, each in a row
    assert StressEstimates.read(tmp_path / "estimates.parquet").conditions == ALL


@pytest.mark.parametrize("name", [*CORRUPTIONS, MARGIN])
def test_every_damage_is_shown_at_every_severity(name: str) -> None:
    face = drawn_face()
    changed = [np.abs(damaged(face, name, one).astype(float) - face).mean() for one in SEVERITIES]
    assert changed[0] > 0.2
    assert changed[-1] > changed[0]
    panel = damage_examples([name]).figure.axes[0]
    assert panel.images[0].get_array().shape == (224, 6 * 224, 3)
    assert [label.get_text() for label in panel.get_yticklabels()] == [name]


def test_tables_and_sentences() -> None:
    found = stress(made(ALL), draws=20)
    table = corruption_table(found)
    assert table["corruption"].tolist() == [
        "blur",
        "noise",
        "jpeg",
        "margin",
        "mean of corruptions",
    ]
    assert not any("reference" in name for name in table)
    assert detector_table(found)["condition"].tolist() == ["detector dlib"]
    (line,) = stress_sentences(found)
    assert line.startswith("40 of 40 faces (people unknown) have an estimate")


def test_nothing_lost_and_nothing_damaged_are_sentences(tmp_path: Path) -> None:
    only = conditions(["detector"], ["dlib"])
    table = made(only)
    found = stress(table, draws=0)
    StressReport(found, table).write(tmp_path)
    html = (tmp_path / "index.html").read_text()
    assert "Nothing was damaged" in html
    assert "Every face that has an estimate undamaged has one under all conditions" in html
    assert "No intervals were asked for" in html
    assert not list(tmp_path.glob("*.png"))
