"""The shape of the code: no module imports, by however long a way, what imports it."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

CODE_SIZE = Path(__file__).parents[2] / "benchmarks" / "code_size.py"


@pytest.fixture(scope="module")
def code_size() -> ModuleType:
    spec = importlib.util.spec_from_file_location("code_size", CODE_SIZE)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_circles_are_found_at_any_length(code_size: ModuleType) -> None:
    graph = {"a": {"b"}, "b": {"c"}, "c": {"a", "d"}, "d": set(), "e": {"d"}}
    assert code_size.circles(graph) == [["a", "b", "c"]]


def test_no_module_imports_itself_by_way_of_others(code_size: ModuleType) -> None:
    found = code_size.measure()
    assert found["files"] > 100
    assert found["circles"] == []
