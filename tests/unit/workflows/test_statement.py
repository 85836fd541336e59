"""The practice statement: what was measured is in it, what nobody said is visibly blank."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from agelens.errors import UsageError
from agelens.evaluation import evaluate, gate, statement

MODEL = "cc0-resnet10"
HOSTILE = "<script>x</script> | y"


def predicted(model: str = MODEL) -> pd.DataFrame:
    random = np.random.default_rng(0)
    ages = random.integers(5, 80, 300).astype(float)
    return pd.DataFrame(
        {
            "sample_id": [f"s{n}" for n in range(300)],
            "age_years": ages,
            "age_kind": "real",
            "estimate_years": ages + random.normal(0, 4, 300),
            "gender": random.choice(["female", "male"], 300),
            "ethnicity": [HOSTILE] * 40 + ["B"] * 260,
            "model": model,
        }
    )


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, dict[str, Any]]:
    folder = tmp_path_factory.mktemp("measured")
    found = evaluate(predicted(), draws=0, by=["gender", "ethnicity"])
    found.save(folder / "evaluated")
    gate(predicted(), legal=18, max_false_accept=0.2).save(folder / "gated")
    return folder / "evaluated", folder / "gated", found.to_dict()


def test_measured_figures_are_in_it_under_five_headings(
    measured: tuple[Path, Path, dict[str, Any]],
) -> None:
    *folders, document = measured
    text = statement(MODEL, folders).to_markdown()
    headings = [line.partition(". ")[2] for line in text.splitlines() if line.startswith("## ")]
    assert headings == ["Functionality", "Performance", "Privacy", "Security", "Acceptability"]
    mae = document["tables"][0]["metrics"]["mae"]["value"]
    assert f"| mae | {mae:.2f} |" in text
    challenge = json.loads((folders[1] / "gate.json").read_text())["challenge_years"]
    assert f"Challenge age {challenge:g} for a legal age of 18" in text
    assert "not a certificate" in text
    assert "no proof of age" in text
    assert "CC0-1.0" in text


def test_what_nobody_said_is_visibly_blank(measured: tuple[Path, Path, dict[str, Any]]) -> None:
    text = statement(MODEL, measured[:1]).text
    assert "**[blank: not measured]**: error rates at a legal age" in text
    assert "**[blank: not measured]**: damaged pictures" in text
    assert "**[blank: redress]**" in text
    assert text.count("**[blank: not measured]**") == 3
    assert statement(MODEL).text.count("**[blank: not measured]**") == 4


def test_words_of_a_table_are_no_markup(measured: tuple[Path, Path, dict[str, Any]]) -> None:
    text = statement(MODEL, measured[:2]).text
    assert "<script" not in text
    assert "&lt;script&gt;x&lt;/script&gt; \\| y" in text


def test_what_measured_another_model_or_nothing_is_refused(
    measured: tuple[Path, Path, dict[str, Any]], tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match="measured cc0-resnet10, and not agelens-1"):
        statement("agelens-1", measured[:1])
    with pytest.raises(UsageError, match="holds no measurement: give folders"):
        statement(MODEL, [tmp_path])
    (tmp_path / "gate.json").write_text('{"legal_years": ')
    with pytest.raises(UsageError, match=r"gate\.json: cannot be read as a measurement"):
        statement(MODEL, [tmp_path])


def test_the_file_is_written(tmp_path: Path) -> None:
    path = statement(MODEL).save(tmp_path / "statement.md")
    assert path.read_text().startswith(f"# Practice statement: {MODEL}\n")


@pytest.mark.parametrize("damage", ["{}", "unit"])
def test_a_measurement_that_lacks_figures_is_named(
    damage: str, measured: tuple[Path, Path, dict[str, Any]], tmp_path: Path
) -> None:
    kind = "gate" if damage == "{}" else "evaluation"
    document = json.loads((measured[kind == "gate"] / f"{kind}.json").read_text())
    if kind == "gate":
        document = {}
    else:
        del document["tables"][0]["metrics"]["mae"]["unit"]
    (tmp_path / f"{kind}.json").write_text(json.dumps(document))
    with pytest.raises(UsageError, match=f"{kind}.json: cannot be read as a measurement: it lacks"):
        statement(MODEL, [tmp_path])
