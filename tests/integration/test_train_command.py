"""`agelens train` and `agelens runs`, from a store to a folder with everything in it."""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from safetensors.torch import load_file

from agelens.data.store import ChipStore
from agelens.evaluation.metrics.errors import mae
from agelens.tables import SampleTable, read_predictions, write_table

Run = Callable[..., Any]
FILES = {
    *("config.yaml", "environment.json", "data.json", "metrics.csv", "summary.json"),
    *("weights.safetensors", "starting-weights.txt", "curves.png"),
    *("predictions-valid.parquet", "predictions-test.parquet", "predictions-test-more.parquet"),
}


@pytest.fixture(scope="module")
def place(bright_store: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two stores and a configuration for a run of seconds."""
    folder: Path = tmp_path_factory.mktemp("train")
    bright_store(folder / "bright", samples=60)
    bright_store(folder / "more", samples=12, seed=1)
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
        "trainer": {"max_epochs": 2, "accelerator": "cpu"},
    }
    (folder / "toy.yaml").write_text(yaml.safe_dump(document))
    return folder


@pytest.fixture(scope="module")
def train(agelens: Run, place: Path) -> Run:
    """The command with the configuration, without an export unless asked for."""

    def train(*words: str | Path, export: bool = False) -> Any:
        last = [] if export else ["--no-export"]
        return agelens("train", "--config", place / "toy.yaml", *words, *last)

    return train


@pytest.fixture(scope="module")
def finished(train: Run, place: Path) -> tuple[Path, Any]:
    """A finished run and what the command printed."""
    ran = train("--method.sigma", "3", "-o", place / "runs" / "first", export=True)
    assert ran.status == 0, ran.err
    return place / "runs" / "first", ran


@pytest.fixture
def copied(finished: tuple[Path, Any], tmp_path: Path) -> Path:
    """The finished run as it was before it was tested: to be resumed."""
    folder = tmp_path / "copy"
    shutil.copytree(finished[0], folder)
    (folder / "summary.json").unlink()
    return folder


def read(path: Path) -> Any:
    return json.loads(path.read_text())


def test_the_folder_holds_everything(finished: tuple[Path, Any]) -> None:
    folder, ran = finished
    assert {path.name for path in folder.iterdir()} >= FILES
    assert {path.name for path in (folder / "checkpoints").iterdir()} == {"best.ckpt", "last.ckpt"}
    assert any(path.name.startswith("events.out") for path in (folder / "logs").iterdir())
    config = yaml.safe_load((folder / "config.yaml").read_text())
    assert config["method"]["init_args"]["sigma"] == 3
    assert config["trainer"]["max_epochs"] == 2
    assert read(folder / "environment.json")["seed"] == 0
    assert read(folder / "data.json")["parts"]["train"]["samples"] > 16
    assert len((folder / "metrics.csv").read_text().splitlines()) == 3
    assert ran.err.count("epoch ") == 2
    assert "wrote" in ran.out


def test_the_summary_is_what_the_tables_say(finished: tuple[Path, Any]) -> None:
    folder, ran = finished
    summary = read(folder / "summary.json")
    for part, name in (("valid", "valid"), ("test", "test"), ("more", "test-more")):
        table = read_predictions(folder / f"predictions-{name}.parquet")
        figures = summary["metrics"][part]
        assert figures["samples"] == len(table)
        estimates, ages = table.frame["estimate_years"], table.frame["age_years"]
        assert figures["mae"] == mae(estimates, ages)
        assert f"{part}: MAE {figures['mae']:.3f} years" in ran.out
        assert (table.frame["low_years"] <= estimates).all()
        assert table.distribution is not None
        assert table.distribution.shape == (len(table), 101)
        assert set(table.frame["method"]) == {"dldl-v2"}
    assert summary["epochs"] == 2
    assert 0 < summary["model_time_share"] <= 1


def test_the_best_epoch_is_what_is_kept_and_tested(finished: tuple[Path, Any]) -> None:
    folder, _ = finished
    summary = read(folder / "summary.json")
    history = pd.read_csv(folder / "metrics.csv")
    assert summary["best_epoch"] == history["valid/mae"].idxmin()
    assert summary["metrics"]["valid"]["mae"] == pytest.approx(history["valid/mae"].min(), rel=1e-5)
    best = torch.load(folder / "checkpoints" / "best.ckpt", weights_only=True)["state_dict"]
    for name, value in load_file(folder / "weights.safetensors").items():
        assert torch.equal(value, best[f"model.{name}"])


def test_a_run_is_loaded_without_what_it_was_trained_on(
    finished: tuple[Path, Any], tmp_path: Path, place: Path
) -> None:
    from agelens.inference.answers import read_answers
    from agelens.training.run import open_run

    shutil.copytree(finished[0], tmp_path / "run")
    text = (tmp_path / "run" / "config.yaml").read_text()
    (tmp_path / "run" / "config.yaml").write_text(text.replace(str(place / "bright"), "gone"))
    run = open_run(tmp_path / "run")
    table = read_predictions(finished[0] / "predictions-test-more.parquet")
    chips = ChipStore.open(place / "more")
    batch = torch.from_numpy(np.stack([chips[row] for row in range(len(chips))]))
    with torch.no_grad():
        answer = run.model.answer(run.transform(batch.permute(0, 3, 1, 2)))
    ages = read_answers(answer.numpy(), run.model.method.spec).estimate_years
    assert ages == pytest.approx(table.frame["estimate_years"].to_numpy(), abs=1e-4)


def test_the_export_is_there_for_use(finished: tuple[Path, Any]) -> None:
    folder, ran = finished
    # The store was made of aligned chips, so that nobody knows how photos are cut for it.
    assert f"agelens estimate --model {folder} --aligned uses it" in ran.out
    assert read(folder / "card.json")["method"] == "dldl-v2"


def test_loose_aligned_chips_are_estimated_and_predicted(
    agelens: Run, finished: tuple[Path, Any], place: Path, tmp_path: Path
) -> None:
    from PIL import Image

    folder, chips = finished[0], ChipStore.open(place / "more")
    (tmp_path / "chips").mkdir()
    names = [f"{row}.png" for row in range(len(chips))]
    for row, name in enumerate(names):
        Image.fromarray(chips[row]).save(tmp_path / "chips" / name)
    table = read_predictions(folder / "predictions-test-more.parquet")
    known = dict(zip(table.frame["sample_id"], table.frame["estimate_years"], strict=True))
    wanted = [known[name] for name in chips.table.frame["sample_id"]]
    words = ("--model", folder, "--aligned")
    ran = agelens("estimate", tmp_path / "chips", *words, "-o", tmp_path / "x.jsonl", "-q")
    assert ran.status == 0, ran.err
    rows = {
        Path(row["photo"]).name: row["faces"][0]
        for row in map(json.loads, (tmp_path / "x.jsonl").read_text().splitlines())
        if "photo" in row
    }
    ages = [rows[name]["estimate_years"] for name in names]
    assert ages == pytest.approx(wanted, abs=0.06)  # the export's tolerance, and one decimal
    assert rows["0.png"]["landmarks"] is rows["0.png"]["detection_score"] is None
    write_table(SampleTable(chips.table.frame.assign(path=names)), tmp_path / "t.parquet")
    ran = agelens(
        *("predict", tmp_path / "t.parquet", "--root", tmp_path / "chips", *words),
        *("-o", tmp_path / "p.csv"),
    )
    assert ran.status == 0, ran.err
    assert pd.read_csv(tmp_path / "p.csv")["estimate_years"].tolist() == pytest.approx(
        wanted, abs=0.05
    )
    refused = agelens("estimate", tmp_path / "chips", *words, "--gender")
    assert refused.status == 2
    assert "tells no gender" in refused.err


def test_whoever_knows_the_frame_of_aligned_chips_says_it(
    agelens: Run, finished: tuple[Path, Any], place: Path, tmp_path: Path
) -> None:
    words = ("--template", "arcface-112", "--margin", "0.25", "-o", tmp_path / "model")
    ran = agelens("export", finished[0], *words)
    assert ran.status == 0, ran.err
    stated = read(tmp_path / "model" / "card.json")["input"]
    assert (stated["alignment"], stated["chips"]) == ("similarity", "as-shipped")
    assert (stated["template"], stated["margin"]) == ("arcface-112", 0.25)
    # It still takes the chips that it was trained on.
    ran = agelens(
        *("predict", place / "more", "--model", tmp_path / "model", "-o", tmp_path / "p.parquet"),
    )
    assert ran.status == 0, ran.err
    before = read_predictions(finished[0] / "predictions-test-more.parquet").frame
    after = read_predictions(tmp_path / "p.parquet").frame
    assert after["estimate_years"].tolist() == pytest.approx(
        before["estimate_years"].tolist(), abs=0.05
    )
    alone = agelens("export", finished[0], "--margin", "0.25", "-o", tmp_path / "other")
    assert alone.status == 2
    assert "give --template as well" in alone.err


def test_the_same_run_twice_is_the_same_and_another_seed_is_not(
    train: Run, finished: tuple[Path, Any], tmp_path: Path
) -> None:
    weights = [load_file(finished[0] / "weights.safetensors")]
    for name, words in {"again": (), "other": ("--seed", "1")}.items():
        options = ("--method.sigma", "3", "-q", "--data.workers", "2")
        ran = train(*options, "-o", tmp_path / name, *words)
        assert (ran.status, ran.err) == (0, "")
        weights.append(load_file(tmp_path / name / "weights.safetensors"))
    first, again, other = weights
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not all(torch.equal(first[name], other[name]) for name in first)


def test_a_finished_run_is_left_as_it_is(agelens: Run, finished: tuple[Path, Any]) -> None:
    folder, _ = finished
    before = (folder / "summary.json").stat()
    ran = agelens("train", "--resume", folder)
    assert (ran.status, ran.out) == (0, "")
    assert "finished already" in ran.err
    refused = agelens("train", "--resume", folder, "--trainer.max_epochs", "7")
    assert refused.status == 2
    assert "config.trainer.max_epochs: there 2, now 7" in refused.err
    assert (folder / "summary.json").stat() == before


def test_many_options_go_together(agelens: Run, train: Run, tmp_path: Path) -> None:
    ran = train(
        *("--method", "coral", "--optimizer=sgd", "--optimizer.lr", "0.01"),
        *("--schedule", "one-cycle", "--selection.metric", "ca3", "--selection.patience", "1"),
        *("--auxiliary.way", "feeds-age", "--auxiliary.columns.gender", "0.5"),
        *("--data.sampling", "label-distribution-smoothed", "--data.draws", "32"),
        *("--trainer.gradient_clip_val", "1.0", "--trainer.accumulate_grad_batches", "2"),
        *("--trainer.precision", "bf16-mixed", "--channels_last", "true"),
        *("--callbacks+=agelens.training.callbacks.WeightEMA", "--callbacks.decay", "0.5"),
        *("--regularisers+=agelens.training.regularisers.L2SP",),
        *("-o", tmp_path / "run"),
    )
    assert ran.status == 0, ran.err
    history = pd.read_csv(tmp_path / "run" / "metrics.csv")
    assert {"train/gender", "valid/gender", "train/loss"} <= set(history)
    assert {"train/mae", "train/cs5"} <= set(history)
    summary = read(tmp_path / "run" / "summary.json")
    told = pd.read_parquet(tmp_path / "run" / "predictions-valid.parquet")
    told = told[told["gender"].notna()]
    right = (told["gender_estimate"].astype(str) == told["gender"].astype(str)).mean()
    assert summary["metrics"]["valid"]["gender_accuracy"] == pytest.approx(right)
    best = history["epoch"] == summary["best_epoch"]
    assert history.loc[best, "valid/gender_accuracy"].item() == pytest.approx(right)
    assert told["gender_score"].between(0.5, 1).all()
    assert summary["selected_by"] == "ca3"
    assert history["valid/ca3"].max() == pytest.approx(summary["metrics"]["valid"]["ca3"])


def test_print_config_stops_there(train: Run, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    ran = train("--print-config", "--optimizer.lr", "0.5")
    assert ran.status == 0
    assert yaml.safe_load(ran.out)["optimizer"]["init_args"]["lr"] == 0.5
    assert list(tmp_path.iterdir()) == []


def test_help_names_the_options(agelens: Run) -> None:
    ran = agelens("train", "--help")
    assert ran.status == 0
    for word in ("--resume", "--print-config", "--data.stores", "--trainer.max_epochs", "--method"):
        assert word in ran.out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--method.sigm", "2"], "unknown key 'method.sigm'. Did you mean 'method.sigma'?"),
        (["--method", "drff"], "unknown method 'drff'. Did you mean 'drf'?"),
        (["--data.split", "subject-k-fold", "--data.fold", "77"], "fold 77 is none of them"),
        (["--data.split", "official"], "neither a split nor folds"),
        (["--method.ages", "30-40"], "--data.outside_ages drop"),
        (["--data.stores", "nowhere"], "expected a chip store"),
        (["--backbone.name", "resnet5"], "resnet5"),
        (["--backbone.weights", "none.safetensors"], "none.safetensors"),
        (["--optimizer.stage_factors", "[1, 1]"], "stage_factors has 2"),
        (["--auxiliary.columns.ethnicity", "1"], "it has none"),
        (["--trainer.devices", "2", "--data.batch_size", "15", "--no-such"], "--no-such"),
        (["--trainer.accelerator", "gpu"], "gpu"),
        (["--seed", "-1"], "seed"),
        (["--data.workers", "-1"], "workers start at 0, got -1"),
        (["--data.eval_batch_size", "0"], "eval_batch_size starts at 1, got 0"),
        (["--seed", "9" * 400], "seed must be at most 4,294,967,295"),
        (["--method.sigma", "1e300"], "method.init_args.sigma must be at most 3.40282e+38"),
        (["--data.valid_share", "9" * 400], "more digits than any can have"),
        (["--trainer.accumulate_grad_batches", "0"], "accumulate_grad_batches is 1 or more, got 0"),
        (["--trainer.devices", "-1"], "Lightning's trainer is refused here"),
        (["-o"], "expected one argument"),
    ],
)
def test_bad_input_is_wrong_usage(words: list[str], said: str, train: Run, tmp_path: Path) -> None:
    ran = train("-q", *words) if words == ["-o"] else train("-q", "-o", tmp_path / "run", *words)
    assert ran.status == 2
    assert said in ran.err
    assert "Traceback" not in ran.err
    assert not (tmp_path / "run").exists()  # corrected, the command works with the same -o


def test_too_few_faces_for_every_part_are_told(
    train: Run, bright_store: Callable[..., Path], tmp_path: Path
) -> None:
    store = bright_store(tmp_path / "few", samples=3)
    ran = train("-q", "-o", tmp_path / "run", "--data.stores", store, "--data.split", "hash")
    assert ran.status == 2
    assert "part" in ran.err
    assert not (tmp_path / "run").exists()


def test_a_method_of_the_current_folder_is_trained(
    train: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "my_methods.py").write_text(
        "from agelens.models.methods.coral import CORAL\n\n\n"
        'class Mine(CORAL):\n    """CORAL of my own."""\n\n    name = "mine"\n'
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    words = ("--method.class_path", "my_methods.Mine", "--trainer.max_epochs", "1")
    ran = train("-q", *words, "--method.threshold", "0.4", "-o", "run")
    assert ran.status == 0, ran.err
    assert read(tmp_path / "run" / "environment.json")["method"] == "mine"


def test_an_output_that_holds_something_is_refused(
    train: Run, finished: tuple[Path, Any], tmp_path: Path
) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    assert train("-o", tmp_path).status == 2
    ran = train("-o", finished[0])
    assert ran.status == 2
    assert "--resume" in ran.err
    ran = train("-o", tmp_path / "a", "--resume", finished[0])
    assert (ran.status, "leave out -o" in ran.err) == (2, True)


def test_only_runs_are_resumed(agelens: Run, tmp_path: Path) -> None:
    ran = agelens("train", "--resume", tmp_path)
    assert ran.status == 2
    assert "no run of agelens train" in ran.err


def test_nan_stops_the_run_and_names_the_batch(train: Run, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    ran = train("-q", "--optimizer", "sgd", "--optimizer.lr", "1e30", "-o", folder)
    assert ran.status == 1
    assert "is not finite" in ran.err
    assert read(folder / "nan-batch.json")["sample_ids"][0].startswith("bright/")
    assert read(folder / "failure.json")["error"] == "TrainingError"
    assert not (folder / "summary.json").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--method.sigma", "4"], "config.method.init_args.sigma: there 3.0, now 4.0"),
        (["--seed", "7"], "config.seed: there 0, now 7"),
        (["--data.split_seed", "7"], "config.data.split_seed: there 0, now 7"),
    ],
)
def test_another_runs_checkpoint_is_refused(
    words: list[str], said: str, agelens: Run, copied: Path
) -> None:
    ran = agelens("train", "--resume", copied, *words)
    assert ran.status == 2
    assert said in ran.err
    assert "start a new run" in ran.err


def test_changed_data_are_refused_and_moved_data_are_not(
    agelens: Run, copied: Path, place: Path, tmp_path: Path, bright_store: Callable[..., Path]
) -> None:
    other = bright_store(tmp_path / "bright", samples=60, seed=9)
    ran = agelens("train", "--resume", copied, "--data.stores", other)
    assert ran.status == 2
    assert "data.stores.0: there" in ran.err
    shutil.copytree(place / "bright", tmp_path / "moved")
    ran = agelens("train", "--resume", copied, "--data.stores", tmp_path / "moved", "--no-export")
    assert ran.status == 0, ran.err


@pytest.mark.parametrize("content", ["evil", "torn"])
def test_a_bad_checkpoint_is_refused(content: str, agelens: Run, copied: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[Any, ...]:
            return os.mkdir, (str(copied / "owned"),)

    last = copied / "checkpoints" / "last.ckpt"
    if content == "evil":
        torch.save({"state_dict": Evil()}, last)
    else:
        last.write_bytes(last.read_bytes()[:1000])
    ran = agelens("train", "--resume", copied)
    assert ran.status == 1
    assert "last.ckpt" in ran.err
    assert not (copied / "owned").exists()


def test_a_full_disk_keeps_the_last_good_checkpoint(
    agelens: Run, train: Run, finished: tuple[Path, Any], tmp_path: Path, monkeypatch
) -> None:
    folder = tmp_path / "run"
    synced, written = os.fsync, []

    def full_in_the_second_epoch(descriptor: int) -> None:
        if "best.ckpt" in str(Path(f"/proc/self/fd/{descriptor}").readlink()):
            written.append(descriptor)
        if len(written) > 1:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        synced(descriptor)

    monkeypatch.setattr(os, "fsync", full_in_the_second_epoch)
    ran = train("--method.sigma", "3", "-o", folder)
    monkeypatch.undo()
    assert ran.status == 1
    assert "No space left on device" in ran.err
    assert "--resume" in ran.err
    kept = torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)
    assert kept["epoch"] == 0
    assert not list(folder.rglob("*.partial"))
    assert agelens("train", "--resume", folder, "--no-export").status == 0
    first, again = (load_file(run / "weights.safetensors") for run in (finished[0], folder))
    assert all(torch.equal(first[name], again[name]) for name in first)


def test_ctrl_c_tells_how_to_go_on(train: Run, tmp_path: Path, monkeypatch) -> None:
    from agelens.training.age_module import AgeModule

    def interrupted(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(AgeModule, "validation_step", interrupted)
    ran = train("-q", "-o", tmp_path / "run")
    assert ran.status == 130
    assert f"agelens train --resume {tmp_path / 'run'}" in ran.err


def test_runs_are_listed(
    agelens: Run, finished: tuple[Path, Any], tmp_path: Path, monkeypatch
) -> None:
    shutil.copytree(finished[0], tmp_path / "deep" / "whole")
    for name in ("killed", "broken"):
        shutil.copytree(finished[0], tmp_path / name)
        (tmp_path / name / "summary.json").unlink()
    (tmp_path / "broken" / "failure.json").write_text("{}")
    (tmp_path / "begun").mkdir()
    (tmp_path / "begun" / "config.yaml").write_text("")
    ran = agelens("runs", tmp_path, "--json")
    rows = {row["name"]: row for row in json.loads(ran.out)}
    assert {name: row["state"] for name, row in rows.items()} == {
        "begun": "interrupted",
        "broken": "failed",
        "deep/whole": "finished",
        "killed": "interrupted",
    }
    whole = rows["deep/whole"]
    assert (whole["method"], whole["backbone"], whole["data"]) == (
        "dldl-v2",
        "tinyagenet",
        "bright",
    )
    assert whole["epochs"] == 2
    assert whole["test MAE"] == read(finished[0] / "summary.json")["metrics"]["test"]["mae"]
    assert rows["killed"]["valid MAE"] == pytest.approx(whole["valid MAE"])
    assert rows["killed"]["test MAE"] is None
    monkeypatch.setenv("COLUMNS", "200")
    shown = agelens("runs", tmp_path)
    assert shown.status == 0
    assert "deep/whole" in shown.out
    assert f"{whole['valid MAE']:.3f}" in shown.out


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("metrics.csv", b"\xcd\x00\x01"),
        ("metrics.csv", b""),
        ("metrics.csv", b"epoch,valid/mae\nepoch,valid/mae\n"),
        ("summary.json", b'{"metrics": []}'),
    ],
)
def test_a_damaged_run_in_the_list_is_named(
    name: str, content: bytes, agelens: Run, finished: tuple[Path, Any], tmp_path: Path
) -> None:
    shutil.copytree(finished[0], tmp_path / "run")
    (tmp_path / "run" / name).write_bytes(content)
    ran = agelens("runs", tmp_path)
    assert (ran.status, ran.out) == (1, "")
    assert f"agelens: error: {tmp_path / 'run'}" in ran.err
    assert "cannot be read as" in ran.err


@pytest.mark.parametrize("command", ["leaderboard RUN -o OUT.md", "export RUN -o OUT"])
def test_a_summary_that_lacks_everything_is_a_damaged_run(
    command: str, agelens: Run, finished: tuple[Path, Any], tmp_path: Path
) -> None:
    shutil.copytree(finished[0], tmp_path / "run")
    (tmp_path / "run" / "summary.json").write_text("{}")
    words = command.replace("RUN", str(tmp_path / "run")).replace("OUT", str(tmp_path / "out"))
    ran = agelens(*words.split())
    assert (ran.status, ran.out) == (1, "")
    assert f"{tmp_path / 'run'}: cannot be read as a finished run: it lacks" in ran.err
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_no_runs_are_told(agelens: Run, tmp_path: Path) -> None:
    assert "no runs" in agelens("runs", tmp_path).out
    assert json.loads(agelens("runs", tmp_path, "--json").out) == []
    assert agelens("runs", tmp_path / "absent").status == 2


def test_torch_and_its_kin_are_asked_for_by_name(tmp_path: Path) -> None:
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "from agelens.cli import main\n"
        "words = '--config utkface-dlib-resnet10 --data.stores . -o run'.split()\n"
        "raise SystemExit(main(['train', *words]))"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        timeout=300,
    )
    assert ran.returncode == 1
    assert "needs torch: pip install 'agelens[train]'" in ran.stderr
    assert list(tmp_path.iterdir()) == []


def test_other_commands_do_not_load_what_training_needs() -> None:
    code = (
        "import sys; from agelens.cli import main\n"
        "try: main(['runs', sys.argv[1]])\n"
        "except SystemExit: pass\n"
        "print(sorted({'torch', 'pytorch_lightning', 'pandas', 'numpy'} & set(sys.modules)))"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code, str(Path(__file__).parent)],
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    )
    assert ran.stdout.splitlines()[-1] == "[]"
