"""What compared runs were given is told where it differs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from agelens.evaluation.comparison.run_differences import budget_note, run_differences
from agelens.evaluation.finished_runs import FinishedRun


def run(folder: Path, *, epochs: int, rate: float = 0.1, start: str = "random") -> FinishedRun:
    folder.mkdir()
    (folder / "starting-weights.txt").write_text(f"{start}\nmore of it\n")
    config: dict[str, Any] = {
        "seed": epochs,
        "optimizer": {"lr": rate},
        "trainer": {"max_epochs": epochs},
    }
    summary = {"epochs": epochs, "train_data": "utkface", "backbone": "b", "method": "m"}
    data = {"split": {"protocol": "hash"}, "parts": {"train": {"datasets": {"utkface": 70}}}}
    return FinishedRun(folder, epochs, "", config, summary, data)


def test_epochs_start_and_settings_are_told_and_what_is_alike_is_not(tmp_path: Path) -> None:
    one = run(tmp_path / "one", epochs=1)
    two = run(tmp_path / "two", epochs=2, start="imagenet")
    found = run_differences({"one": one, "two": two})
    assert {each.what: each.values for each in found} == {
        "epochs": ("1", "2"),
        "start": ("random", "imagenet"),
        "trainer.max_epochs": ("1", "2"),
    }
    (note,) = budget_note(["one", "two"], found)
    assert "epochs: one 1, two 2" in note


def test_runs_of_one_budget_bring_no_warning(tmp_path: Path) -> None:
    one, two = (run(tmp_path / str(rate), epochs=1, rate=rate) for rate in (0.1, 0.2))
    found = run_differences({"one": one, "two": two})
    assert [each.what for each in found] == ["optimizer.lr"]
    assert budget_note(["one", "two"], found) == []
    assert run_differences({}) == []
    assert run_differences({"one": one}) == []
