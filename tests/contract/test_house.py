"""The shape of the code: no module imports, by however long a way, what imports it."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

HOUSE = Path(__file__).parents[2] / "benchmarks" / "house.py"


@pytest.fixture(scope="module")
def house() -> ModuleType:
    spec = importlib.util.spec_from_file_location("house", HOUSE)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_circles_are_found_at_any_length(house: ModuleType) -> None:
    graph = {"a": {"b"}, "b": {"c"}, "c": {"a", "d"}, "d": set(), "e": {"d"}}
    assert house.circles(graph) == [["a", "b", "c"]]


def test_no_module_imports_itself_by_way_of_others(house: ModuleType) -> None:
    found = house.measure()
    assert found["files"] > 100
    assert found["circles"] == []
