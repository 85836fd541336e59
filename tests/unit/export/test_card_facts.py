"""The card of an export: whole, and read back as what was exported."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from agelens.ages import AgeScale
from agelens.export.bundle import CardFacts, output_section
from agelens.inference.answers import OutputSpec
from agelens.inference.cards import read_card

SCALE = AgeScale.parse("0.25,1-80")
SPECS = [
    OutputSpec(SCALE),
    OutputSpec(SCALE, point="median"),
    OutputSpec(SCALE, point="rank", threshold=0.4),
    OutputSpec(SCALE, "mean-spread"),
    OutputSpec(SCALE, "ordinal-logits", point="rank", threshold=0.6),
    OutputSpec(SCALE, "ordinal-logits", link="conditional"),
]


def written(folder: Path, facts: CardFacts, spec: OutputSpec) -> Path:
    (folder / "model.onnx").write_bytes(b"weights")
    chips: dict[str, Any] = {
        "size": 16,
        "color_order": "RGB",
        "mean": [0, 0, 0],
        "std": [255, 255, 255],
        "alignment": "similarity",
        "template": "dlib-64",
        "margin": 0.0,
    }
    weights = {"path": "model.onnx", "sha256": hashlib.sha256(b"weights").hexdigest()}
    document = facts.to_json(weights=weights, chips=chips, spec=spec, export={"format": "onnx"})
    path = folder / "card.json"
    path.write_text(json.dumps(document, allow_nan=False), encoding="utf-8")
    return path


@pytest.mark.parametrize("spec", SPECS, ids=str)
def test_use_reads_answers_as_training_did(
    spec: OutputSpec, tmp_path: Path, facts: CardFacts
) -> None:
    card = read_card(written(tmp_path, facts, spec))
    assert card.answer == spec
    assert card.read_weights() == b"weights"


def test_every_section_of_the_design_is_there(tmp_path: Path, facts: CardFacts) -> None:
    document = json.loads(written(tmp_path, replace(facts, version="2"), SPECS[0]).read_text())
    assert set(document) >= {
        *("name", "version", "task", "summary", "weights", "input", "output", "age_kind"),
        *("method", "backbone", "trained_on", "metrics", "calibration", "licences", "paper"),
        *("limits", "export", "notes", "departures"),
    }
    assert (document["calibration"], document["limits"]) == (None, None)
    assert set(document["licences"]) == {"code", "weights", "data"}
    assert document["metrics"][0]["table"]
    assert document["version"] == "2"


def test_whole_years_are_written_as_whole_numbers() -> None:
    assert json.dumps(output_section(SPECS[0])["ages_years"]).startswith("[0.25, 1, 2, 3")
