"""What differs from the authors' code is said in code, by the command, and in the documentation."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from agelens.errors import UnknownNameError
from agelens.models.departures import departures_of, departures_table, system_departures
from agelens.models.methods import METHODS
from agelens.training.config_schema import RECIPES

ROOT = Path(__file__).parents[3]


def test_every_system_with_recipes_is_listed() -> None:
    folders = {path.name for path in RECIPES.iterdir() if path.is_dir()}
    own = {"experiments", "regression"}
    assert folders - own == set(system_departures()) - {"every system"}


def test_the_documentation_has_the_whole_table() -> None:
    assert departures_table() in (ROOT / "docs" / "methods.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", [*METHODS, *system_departures()])
def test_each_says_all_four_things(name: str) -> None:
    for one in departures_of(name):
        assert all(isinstance(field, str) and field for field in one)
        assert one.theirs in str(one)


def test_a_method_and_its_systems_recipes_are_told_together() -> None:
    listed = departures_of("rapl")
    assert any("theta" in one.theirs for one in listed)
    assert any("IR-50" in one.theirs for one in listed)
    with pytest.raises(UnknownNameError, match=r"unknown method 'nobody'\. Valid methods: amr"):
        departures_of("nobody")


def test_the_command_prints_them(agelens: Callable[..., Any]) -> None:
    ran = agelens("methods", "ldl")
    assert ran.status == 0
    for one in departures_of("ldl"):
        assert f"theirs: {one.theirs}" in ran.out
        assert f"to get theirs: {one.get_theirs}" in ran.out
    listed = json.loads(agelens("methods", "ldl", "--json").out)
    assert listed == [one._asdict() for one in departures_of("ldl")]
    names = [row["name"] for row in json.loads(agelens("methods", "--json").out)]
    assert names == list(METHODS)
    assert "rapl, ldl, coral" in agelens("methods").out
