"""Names of a package that are imported on first use."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

INIT = """
from agelens.lazy import attach

__getattr__, __dir__, __all__ = attach(__name__, {"b": "lazily.inner", "a": "lazily.inner"})
"""


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    folder = tmp_path / "lazily"
    folder.mkdir()
    (folder / "__init__.py").write_text(INIT)
    (folder / "inner.py").write_text("a, b, hidden = object(), object(), 3\n")
    monkeypatch.syspath_prepend(tmp_path)
    import lazily  # type: ignore[import-not-found]

    yield lazily
    for name in ("lazily", "lazily.inner"):
        sys.modules.pop(name, None)


def test_a_name_is_imported_when_it_is_first_used(package: ModuleType) -> None:
    assert "lazily.inner" not in sys.modules
    found = package.a
    assert found is sys.modules["lazily.inner"].a
    assert vars(package)["a"] is found


def test_all_public_names_are_listed_before_they_are_loaded(package: ModuleType) -> None:
    assert package.__all__ == ["a", "b"]
    assert dir(package) == ["a", "b"]
    assert "lazily.inner" not in sys.modules


def test_an_unknown_name_is_refused_as_python_does(package: ModuleType) -> None:
    with pytest.raises(AttributeError, match="module 'lazily' has no attribute 'hidden'"):
        _ = package.hidden
    with pytest.raises(ImportError, match="cannot import name 'hidden' from 'lazily'"):
        from lazily import hidden  # noqa: F401


def test_a_star_import_brings_all_names(package: ModuleType) -> None:
    names: dict[str, object] = {}
    exec("from lazily import *", names)
    assert (names["a"], names["b"]) == (package.a, package.b)
