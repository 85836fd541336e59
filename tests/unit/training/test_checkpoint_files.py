from __future__ import annotations

import errno
import os
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch

from agelens.errors import OutputError, TrainingError
from agelens.training.checkpoints import AtomicCheckpoints, model_weights, read_checkpoint


class Evil:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, ("owned",)


def state(value: float) -> dict[str, Any]:
    return {"state_dict": {"model.w": torch.full((3,), value), "other": torch.zeros(1)}}


def test_what_is_saved_is_read(tmp_path: Path) -> None:
    path = tmp_path / "new" / "c.ckpt"
    AtomicCheckpoints().save_checkpoint(state(1), path)
    assert list(path.parent.iterdir()) == [path]
    weights = model_weights(AtomicCheckpoints().load_checkpoint(path, weights_only=False))
    assert list(weights) == ["w"]
    assert weights["w"].tolist() == [1, 1, 1]


@pytest.mark.parametrize("kind", ["pickle", "torch"])
def test_a_malicious_pickle_is_refused_and_not_run(kind: str, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "c.ckpt"
    if kind == "pickle":
        path.write_bytes(pickle.dumps({"state_dict": Evil()}))
    else:
        torch.save({"state_dict": {"model.w": Evil()}}, path)
    reason = "mkdir" if kind == "torch" else r"\S"
    with pytest.raises(TrainingError, match=rf"is refused.*may run as code \(.*{reason}.*Put back"):
        read_checkpoint(path)
    assert not (tmp_path / "owned").exists()


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04torn", b"no checkpoint at all"])
def test_a_damaged_file_is_told(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "c.ckpt"
    path.write_bytes(content)
    with pytest.raises(TrainingError, match=r"c\.ckpt"):
        read_checkpoint(path)


def test_a_torn_checkpoint_is_told(tmp_path: Path) -> None:
    path = tmp_path / "c.ckpt"
    AtomicCheckpoints().save_checkpoint(state(1), path)
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(TrainingError, match=r"c\.ckpt"):
        read_checkpoint(path)


def test_other_files_are_no_checkpoints(tmp_path: Path) -> None:
    torch.save([1, 2], tmp_path / "c.ckpt")
    with pytest.raises(TrainingError, match="no checkpoint"):
        read_checkpoint(tmp_path / "c.ckpt")
    with pytest.raises(TrainingError, match="cannot be read as what torch"):
        read_checkpoint(tmp_path / "absent.ckpt")


@pytest.mark.parametrize("call", ["write", "fsync"])
def test_a_full_disk_leaves_the_last_good_one(call: str, tmp_path: Path, monkeypatch) -> None:
    path = tmp_path / "last.ckpt"
    AtomicCheckpoints().save_checkpoint(state(1), path)
    before = path.read_bytes()

    def full(*_: Any) -> Any:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    class FullFile:
        def __init__(self, file: Any) -> None:
            self.file = file

        def __enter__(self) -> FullFile:
            return self

        def __exit__(self, *_: object) -> None:
            self.file.close()

        write = full

    if call == "fsync":
        monkeypatch.setattr(os, "fsync", full)
    else:
        opened = Path.open
        monkeypatch.setattr(Path, "open", lambda self, *way: FullFile(opened(self, *way)))
    with pytest.raises(OutputError, match=r"No space left on device\. What was there before"):
        AtomicCheckpoints().save_checkpoint(state(2), path)
    monkeypatch.undo()
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]
