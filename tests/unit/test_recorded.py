"""Objects as a configuration states them: import paths and constructor arguments."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Any

import pytest
from pytorch_lightning.callbacks import EarlyStopping

from agelens.errors import UsageError
from agelens.recorded import Recorded, arguments_of, described, import_path, imported


class Base(Recorded):
    def __init__(self, first: int, *, second: Any = None) -> None:
        self.total = first


class Derived(Base):
    def __init__(self, third: str = "c", **further: Any) -> None:
        super().__init__(7, **further)


class Inheriting(Derived):
    pass


class Kept:
    def __init__(self, size: int, name: str = "n") -> None:
        self.size = size
        self._name = name


class Lost:
    def __init__(self, size: int) -> None:
        self.twice = 2 * size


class Colour(Enum):
    RED = 1


def test_what_was_given_is_kept_of_the_outermost_class() -> None:
    assert arguments_of(Base(3)) == {"first": 3}
    assert arguments_of(Derived("x", second=(1, 2))) == {"third": "x", "second": [1, 2]}
    assert arguments_of(Inheriting()) == {}


def test_objects_within_objects_are_stated_too() -> None:
    stated = described([Base(1, second=Kept(2)), {"a": Path("b"), "c": Colour.RED}, len])
    here = __name__
    assert stated == [
        {
            "class_path": f"{here}.Base",
            "init_args": {
                "first": 1,
                "second": {"class_path": f"{here}.Kept", "init_args": {"size": 2, "name": "n"}},
            },
        },
        {"a": "b", "c": "RED"},
        "builtins.len",
    ]


@pytest.mark.parametrize(
    ("thing", "words"),
    [(Lost(3), "argument 'size'"), (EarlyStopping("valid/mae", min_delta=0.5), "as they were")],
)
def test_arguments_that_are_not_kept_are_refused(thing: object, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        described(thing)


def test_a_class_within_a_function_has_no_name() -> None:
    class Local:
        pass

    with pytest.raises(UsageError, match="inside a function"):
        import_path(Local)


def test_a_class_that_was_defined_anew_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    before = Base(1)
    monkeypatch.setitem(globals(), "Base", type("Base", (), {"__module__": __name__}))
    with pytest.raises(UsageError, match="defined anew"):
        described(before)


def test_a_path_leads_to_its_class() -> None:
    assert imported("pathlib.Path") is Path
    assert imported(f"{__name__}.Kept.__init__") is Kept.__init__
    assert imported("resnet50.a1_in1k") is None
    assert imported("no_such_package_here.Class") is None
