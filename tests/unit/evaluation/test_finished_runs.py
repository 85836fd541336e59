"""Which runs are one model, and what they are called."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from agelens.cli.evaluation import named_models
from agelens.errors import UsageError
from agelens.evaluation.finished_runs import FinishedRun, finished_run, model_names


def made(folder: Path, seed: int, rate: float = 0.1) -> FinishedRun:
    folder.mkdir(parents=True)
    (folder / "config.yaml").write_text(yaml.safe_dump({"seed": seed, "lr": rate}))
    (folder / "summary.json").write_text("{}")
    split = {"leaks": ["3 people of train are in test"], "notes": ["2 rows left out"]}
    (folder / "data.json").write_text(json.dumps({"split": split}))
    return finished_run(folder)


def test_runs_that_differ_in_their_seed_are_one_model(tmp_path: Path) -> None:
    runs = [
        made(tmp_path / "dldl-seed0", 0),
        made(tmp_path / "other", 0, rate=0.2),
        made(tmp_path / "dldl-seed1", 1),
    ]
    assert model_names(runs) == ["dldl", "other", "dldl"]
    assert [run.seed for run in runs] == [0, 0, 1]


@pytest.mark.parametrize(
    ("folders", "name"),
    [
        (["a/0", "a/1"], "0"),
        (["run", "run-2"], "run"),
        (["first", "second"], "first"),
        (["only-seed3"], "only-seed3"),
    ],
)
def test_a_name_is_what_the_folders_begin_with(
    tmp_path: Path, folders: list[str], name: str
) -> None:
    runs = [made(tmp_path / folder, seed) for seed, folder in enumerate(folders)]
    assert set(model_names(runs)) == {name}


def test_different_recipes_keep_different_names(tmp_path: Path) -> None:
    runs = [
        made(tmp_path / name, seed, rate)
        for name, seed, rate in (("x-1", 0, 1), ("x-2", 1, 1), ("x-3", 0, 2), ("x-4", 1, 2))
    ]
    assert model_names(runs) == ["x-1", "x-1", "x-3", "x-3"]
    same = [made(tmp_path / "p" / "r", 0, 1), made(tmp_path / "q" / "r", 0, 2)]
    with pytest.raises(UsageError, match="same name"):
        model_names(same)


def test_remarks_are_leaks_and_notes(tmp_path: Path) -> None:
    remarks = made(tmp_path / "r", 0).remarks
    assert remarks == ["leak in its split: 3 people of train are in test", "2 rows left out"]


def test_an_unfinished_run_and_no_run_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no config"):
        finished_run(tmp_path)
    made(tmp_path / "r", 0)
    (tmp_path / "r" / "summary.json").unlink()
    with pytest.raises(UsageError, match=r"not finished .*--resume"):
        finished_run(tmp_path / "r")
    made(tmp_path / "s", 0)
    with pytest.raises(UsageError, match="no test predictions"):
        finished_run(tmp_path / "s").test_predictions()


def test_a_name_is_told_from_a_path(tmp_path: Path) -> None:
    assert list(named_models(["mine=a.csv", "a.csv"])) == [{"mine": "a.csv"}, "a.csv"]
    odd = tmp_path / "lr=1.csv"
    odd.touch()
    assert list(named_models([str(odd)])) == [str(odd)]
