"""The shape of the code: no module imports, by however long a way, what imports it."""

from __future__ import annotations

from benchmarks import house


def test_circles_are_found_at_any_length() -> None:
    graph = {"a": {"b"}, "b": {"c"}, "c": {"a", "d"}, "d": set(), "e": {"d"}}
    assert house.circles(graph) == [["a", "b", "c"]]


def test_no_module_imports_itself_by_way_of_others() -> None:
    found = house.measure()
    assert found["files"] > 100
    assert found["circles"] == []
