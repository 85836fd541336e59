"""`agelens compare` and `leaderboard`, from tables, runs and configurations, as typed."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

Run = Callable[..., Any]
FAST = ("--draws", "50", "--flips", "200")


def write_table(path: Path, *, spread: float = 4, seed: int = 0, **columns: Any) -> Path:
    ages = np.arange(80) % 70 + 5.0
    errors = np.random.default_rng(seed).normal(0, spread, 80)
    known = {
        "sample_id": [f"{n}.jpg" for n in range(80)],
        "dataset": "utkface",
        "age_years": ages,
        "age_kind": "real",
        "estimate_years": np.maximum(ages + errors, 0),
    }
    pd.DataFrame(known | columns).to_csv(path, index=False)
    return path


@pytest.fixture
def tables(tmp_path: Path) -> list[Path]:
    near = write_table(tmp_path / "near.csv", spread=1)
    far = write_table(tmp_path / "far.csv", spread=9, seed=1)
    return [near, far]


def test_two_tables_to_a_folder(agelens: Run, tables: list[Path], tmp_path: Path) -> None:
    run = agelens("compare", *tables, "-o", tmp_path / "out", *FAST)
    assert run.status == 0, run.err
    assert "near is better" in run.out
    assert "so that a leak could not be seen" in run.out
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names == {
        *("comparison.json", "matrix.csv", "pairs.csv", "ranks.csv", "published.csv"),
        *("differences.csv", "matrix.png", "ranks.png", "matrix.svg", "ranks.svg", "index.html"),
    }
    again = agelens("compare", *tables, "-o", tmp_path / "out", *FAST)
    assert again.status == 2
    assert "not empty" in again.err


def test_names_and_seeds_of_the_users_own(agelens: Run, tables: list[Path]) -> None:
    words = [f"mine={tables[0]}", f"mine={tables[1]}", f"yours={tables[1]}"]
    run = agelens("compare", *words, "--json", *FAST)
    document = json.loads(run.out)
    assert document["models"] == ["mine", "yours"]
    assert [cell["seeds"] for cell in document["cells"]] == [[0, 1], [None]]


def test_what_is_refused_says_the_way_out(agelens: Run, tables: list[Path], tmp_path: Path) -> None:
    kinds = write_table(tmp_path / "kinds.csv", age_kind=["real"] * 40 + ["apparent"] * 40)
    bare = write_table(tmp_path / "bare.csv", age_years=None, age_kind=None)
    other = write_table(tmp_path / "other.csv", sample_id=[f"x{n}" for n in range(80)])
    twice = write_table(tmp_path / "twice.csv", sample_id="one")
    for words, told in (
        ([], "nothing to compare"),
        ([tmp_path / "absent.csv"], "absent.csv"),
        (["no-such-model"], "--on STORE"),
        ([kinds], "--allow-mixed-age-kinds"),
        ([tables[0], bare], "--labels"),
        ([tables[0], other], "no sample in common"),
        ([twice], "more than once"),
        ([tables[0], tables[0]], "NAME=TABLE"),
        ([tables[0], "--draws", "-1"], "draws"),
    ):
        run = agelens("compare", *words, "--flips", "50")
        assert run.status == 2, words
        assert told in run.err, run.err
        assert "Traceback" not in run.err
    run = agelens("compare", kinds, "--allow-mixed-age-kinds", *FAST)
    assert run.status == 0
    assert "several kinds are measured together: 40 real, 40 apparent" in run.out


def test_comparing_tables_loads_no_torch(tables: list[Path]) -> None:
    code = (
        "import sys; from agelens.cli import main; "
        f"status = main(['compare', *{list(map(str, tables))!r}, '--draws', '20', '--flips', '50'])"
        "; sys.exit(status or 'torch' in sys.modules)"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=300
    )
    assert ran.returncode == 0, ran.stderr


@pytest.fixture(scope="module")
def place(bright_store: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two stores and a configuration for a run of seconds."""
    folder: Path = tmp_path_factory.mktemp("compare")
    bright_store(folder / "bright", samples=120)
    bright_store(folder / "more", samples=40, seed=1)
    document = {
        "method": "dldl-v2",
        "data": {
            "stores": str(folder / "bright"),
            "tests": {"more": str(folder / "more")},
            "batch_size": 16,
            "preset": "regression",
        },
        "backbone": {"name": "tinyagenet", "size": 32},
        "optimizer": {"class_path": "adamw", "init_args": {"lr": 3e-3}},
        "trainer": {"max_epochs": 1, "accelerator": "cpu"},
    }
    (folder / "toy.yaml").write_text(yaml.safe_dump(document))
    return folder


@pytest.fixture(scope="module")
def trained(agelens: Run, place: Path) -> Any:
    """What the command printed that trained two seeds."""
    words = ("--train", place / "toy.yaml", "--seeds", "2", "--runs", place / "runs")
    ran = agelens("compare", *words, "--json", *FAST)
    assert ran.status == 0, ran.err
    return ran


def test_a_configuration_is_trained_and_tried_on_all_its_tests(trained: Any) -> None:
    document = json.loads(trained.out)  # nothing but JSON, though training prints
    assert document["models"] == ["toy"]
    relations = {cell["dataset"]: cell["relation"]["kind"] for cell in document["cells"]}
    assert relations == {"bright": "intra", "more": "cross"}
    assert [cell["seeds"] for cell in document["cells"]] == [[0, 1], [0, 1]]


def test_runs_that_are_there_are_taken(agelens: Run, place: Path, trained: Any) -> None:
    weights = place / "runs" / "toy-seed0" / "weights.safetensors"
    before = weights.stat().st_mtime_ns
    words = ("--train", place / "toy.yaml", "--runs", place / "runs", "--json")
    ran = agelens("compare", *words, *FAST)
    assert weights.stat().st_mtime_ns == before
    assert [cell["seeds"] for cell in json.loads(ran.out)["cells"]] == [[0], [0]]
    document = yaml.safe_load((place / "toy.yaml").read_text())
    document["trainer"]["max_epochs"] = 2
    (place / "changed").mkdir()
    (place / "changed" / "toy.yaml").write_text(yaml.safe_dump(document))
    ran = agelens("compare", "--train", place / "changed" / "toy.yaml", "--runs", place / "runs")
    assert ran.status == 2
    assert "another configuration" in ran.err


def test_a_run_is_tried_on_a_store_beside_its_own_table(
    agelens: Run, place: Path, trained: Any
) -> None:
    run = place / "runs" / "toy-seed0"
    ran = agelens("compare", run, "--on", place / "more", "--json", *FAST)
    document = json.loads(ran.out)
    (cell,) = document["cells"]
    own = json.loads((run / "summary.json").read_text())["metrics"]["more"]["mae"]
    assert cell["figures"]["mae"]["value"] == pytest.approx(own, abs=1e-3)
    assert (cell["model"], cell["seeds"], cell["samples"]) == ("toy-seed0", [0], 40)


def test_a_leaderboard_of_the_runs(agelens: Run, place: Path, trained: Any) -> None:
    runs = [place / "runs" / f"toy-seed{seed}" for seed in (0, 1)]
    ran = agelens("leaderboard", *runs, "-o", place / "board.md", "--draws", "50")
    assert ran.status == 0, ran.err
    page = (place / "board.md").read_text()
    lines = [line for line in page.splitlines() if line.startswith("| toy |")]
    assert len(lines) == 2
    assert "subject-exclusive" in lines[0]
    assert "other dataset" in lines[1]
    assert f"agelens train --config {runs[1] / 'config.yaml'}" in page
    ran = agelens("leaderboard", runs[0], "--only", "more", "--no-time", "--draws", "50")
    assert ran.out.count("| toy-seed0 |") == 1
    ran = agelens("leaderboard", runs[0], "--only", "nobody's")
    assert (ran.status, "tested on" in ran.err) == (2, True)
    ran = agelens("leaderboard", place)
    assert (ran.status, "holds no run" in ran.err) == (2, True)
