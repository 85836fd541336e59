"""`agelens models` and `agelens detectors`."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from agelens.imaging.detectors import DETECTORS
from agelens.inference.cards import MODELS

Run = Callable[..., Any]


def test_models_as_json(agelens: Run) -> None:
    ran = agelens("models", "--json")
    rows = json.loads(ran.out)
    assert ran.status == 0
    assert [row["name"] for row in rows] == list(MODELS)
    assert [row["default"] for row in rows] == [True, False, False]
    assert {row["task"] for row in rows} == {"age", "gender"}
    assert "non-commercial" in rows[0]["weights"]
    assert all("CC0" in row["weights"] for row in rows[1:])


def test_detectors_as_json(agelens: Run) -> None:
    rows = json.loads(agelens("detectors", "--json").out)
    assert [row["name"] for row in rows] == list(DETECTORS)
    assert all(row["summary"] and row["licence"] for row in rows)


@pytest.mark.parametrize("command", ["models", "detectors"])
def test_tables_name_them_all(command: str, agelens: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    ran = agelens(command)
    assert ran.status == 0
    for name in MODELS if command == "models" else DETECTORS:
        assert name in ran.out


@pytest.mark.parametrize("name", MODELS)
def test_one_card_whole(name: str, agelens: Run) -> None:
    assert json.loads(agelens("models", name).out) == json.loads(MODELS[name].read_text("utf-8"))


def test_the_card_of_a_path(agelens: Run, tmp_path: Path, write_card: Callable[..., Path]) -> None:
    path = write_card(tmp_path)
    assert json.loads(agelens("models", tmp_path).out) == json.loads(path.read_text("utf-8"))


def test_an_unknown_model_lists_those_that_exist(agelens: Run) -> None:
    ran = agelens("models", "resnet")
    assert ran.status == 2
    assert "Valid models: agelens-1, cc0-gender, cc0-resnet10." in ran.err
