from __future__ import annotations

import json
from pathlib import Path

import pytest

from agelens.atomic import write_json
from agelens.errors import OutputError, TrainingError, UsageError
from agelens.training.run_folder import RunFolder


def test_a_run_goes_through_its_states(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "run")
    assert run.state == "interrupted"
    with run.begun("seed: 1\n"):
        assert run.state == "running"
        assert run.config.read_text() == "seed: 1\n"
    assert run.state == "interrupted"  # ended without a summary
    with run.held():
        assert run.state == "running"
        write_json(run.summary, {})
    assert run.state == "finished"


def test_a_failure_is_written_down_until_the_run_goes_on(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "run")
    with pytest.raises(ValueError, match="NaN"), run.begun(""):
        raise ValueError("NaN")
    assert run.state == "failed"
    assert run.read(run.failure) == {"error": "ValueError", "message": "NaN"}
    with run.held():
        assert run.state == "running"


def test_an_interrupt_is_no_failure(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "run")
    with pytest.raises(KeyboardInterrupt), run.begun(""):
        raise KeyboardInterrupt
    assert run.state == "interrupted"


def test_one_process_at_a_time(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "run")
    taken = pytest.raises(UsageError, match="another process is training")
    with run.begun(""), taken, RunFolder(run.path).held():
        pass


def test_a_folder_with_other_things_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    taken = pytest.raises(UsageError, match=r"not empty; name a new folder$")
    with taken, RunFolder(tmp_path).begun(""):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]
    run = RunFolder(tmp_path / "run")
    with run.begun(""):
        pass
    with pytest.raises(UsageError, match="--resume"), run.begun(""):
        pass


def test_only_runs_are_resumed(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no run of agelens train"), RunFolder(tmp_path).held():
        pass


@pytest.mark.parametrize("content", ["", "[1]", "{"])
def test_damaged_documents_are_told(content: str, tmp_path: Path) -> None:
    (tmp_path / "data.json").write_text(content)
    with pytest.raises(TrainingError, match=r"data\.json"):
        RunFolder(tmp_path).read(tmp_path / "data.json")


def test_numbers_that_json_has_not_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="JSON"):
        write_json(tmp_path / "a.json", {"mae": float("nan")})
    write_json(tmp_path / "a.json", {"name": "Zoë"})
    assert json.loads((tmp_path / "a.json").read_bytes()) == {"name": "Zoë"}


def test_predictions_have_the_parts_names() -> None:
    run = RunFolder(Path("run"))
    assert run.predictions("valid").name == "predictions-valid.parquet"
    assert run.predictions("test").name == "predictions-test.parquet"
    assert run.predictions("fgnet").name == "predictions-test-fgnet.parquet"


def test_a_full_disk_says_how_to_go_on(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "run")
    with pytest.raises(OutputError) as told, run.begun(""):
        raise OutputError("cannot write last.ckpt: No space left on device")
    assert str(told.value) == (
        "cannot write last.ckpt: No space left on device: make room, then go on with agelens "
        f"train --resume {run.path}"
    )
    assert run.read(run.failure)["error"] == "OutputError"


def test_what_a_killed_write_left_is_removed(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "run")
    with run.begun(""):
        run.last.parent.mkdir()
        (run.last.parent / ".last.ckpt.4711.partial").touch()
    with run.held():
        assert not list(run.path.rglob("*.partial"))
