"""TorchScript weights: what runs, and everything that is refused."""

from __future__ import annotations

import io
import os
import pickle
import zipfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from agelens.errors import CardError, UsageError
from agelens.export import torchscript as torchscript_runtime
from agelens.export.torchscript import TorchScriptRuntime, quiet_torchscript


class Means(nn.Module):
    """The mean of each channel."""

    def forward(self, x: Tensor) -> Tensor:
        return x.mean((2, 3))


def scripted(module: nn.Module) -> bytes:
    content = io.BytesIO()
    with quiet_torchscript():
        script: Any = torch.jit.script
        torch.jit.save(script(module), content)
    return content.getvalue()


@pytest.fixture(scope="module")
def means() -> bytes:
    return scripted(Means())


def opened(content: bytes, **options: Any) -> TorchScriptRuntime:
    return TorchScriptRuntime(content, **{"name": "mine", "size": 8, "width": 3} | options)


def refusal(content: bytes, **options: Any) -> str:
    with pytest.raises(CardError, match=r"^mine: ") as caught:
        opened(content, **options)
    return str(caught.value)


def rewritten(content: bytes, change: Callable[[str, bytes], bytes | None]) -> bytes:
    """The archive with each member as `change` makes it; None leaves it out."""
    made = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(made, "w") as new:
        for name in old.namelist():
            member = change(name, old.read(name))
            if member is not None:
                new.writestr(name, member)
    return made.getvalue()


def test_any_batch_is_answered(means: bytes) -> None:
    runtime = opened(means)
    for count in (1, 5, 32, 1):
        pixels = np.random.default_rng(count).normal(size=(count, 3, 8, 8)).astype(np.float32)
        np.testing.assert_allclose(runtime(pixels), pixels.mean((2, 3)), atol=1e-6)


def test_threads_share_one(means: bytes) -> None:
    runtime = opened(means)
    chips = [np.full((4, 3, 8, 8), n, np.float32) for n in range(40)]
    with ThreadPoolExecutor(4) as pool:
        for n, answer in enumerate(pool.map(runtime, chips)):
            np.testing.assert_array_equal(answer, np.full((4, 3), n))


class Runs:
    """Pickled, it makes a folder when it is loaded."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_pickle_is_never_read(protocol: int, tmp_path: Path) -> None:
    assert "A pickle is never read" in refusal(pickle.dumps(Runs(tmp_path / "run"), protocol))
    assert list(tmp_path.iterdir()) == []


def test_a_pickled_checkpoint_is_never_read(tmp_path: Path) -> None:
    content = io.BytesIO()
    torch.save({"weights": torch.zeros(2), "more": Runs(tmp_path / "run")}, content)
    assert "holds no TorchScript program. A pickle is never read" in refusal(content.getvalue())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("member", ["data.pkl", "constants.pkl"])
def test_a_pickle_inside_the_archive_does_not_run(
    member: str, means: bytes, tmp_path: Path
) -> None:
    bad = pickle.dumps(Runs(tmp_path / "run"), 2)
    content = rewritten(means, lambda name, old: bad if name.endswith(member) else old)
    assert "torch cannot read it as TorchScript" in refusal(content)
    assert list(tmp_path.iterdir()) == []


class Saves(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        torch.save(x, "agelens-test-saved")
        return x.mean((2, 3))


class Maps(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        mapped = torch.from_file("agelens-test-mapped", shared=True, size=4)
        return x.mean((2, 3)) + mapped.sum()


class WritesWhenLoaded(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.zeros(1)

    @torch.jit.export
    def __getstate__(self) -> tuple[Tensor, bool]:
        return self.weight, self.training

    @torch.jit.export
    def __setstate__(self, state: tuple[Tensor, bool]) -> None:
        self.weight, self.training = state

    def forward(self, x: Tensor) -> Tensor:
        return x.mean((2, 3)) + self.weight


@pytest.mark.parametrize("module", [Saves, Maps, WritesWhenLoaded])
def test_programs_that_reach_out_are_refused(
    module: type[nn.Module], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert "reads or writes files: refused" in refusal(scripted(module()))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9, 0.999])
def test_a_file_cut_short_is_refused(share: float, means: bytes) -> None:
    assert "not a TorchScript file" in refusal(means[: int(share * len(means))])


def test_a_member_that_is_damaged_is_refused(means: bytes) -> None:
    content = bytearray(means)
    content[content.find(b"def forward") + 4] ^= 1  # stored or deflated, its checksum is off
    place = means.find(b"archive/code/")
    content[place + 60] ^= 0xFF
    refusal(bytes(content))


def test_an_archive_without_a_program_is_refused(means: bytes) -> None:
    content = rewritten(means, lambda name, old: None if "/code/" in name else old)
    assert "holds no TorchScript program" in refusal(content)


def test_a_program_that_is_none_is_refused(means: bytes) -> None:
    content = rewritten(means, lambda name, old: b"def (" if name.endswith(".py") else old)
    assert "torch cannot read it" in refusal(content)


def test_what_unpacks_too_large_is_refused(means: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torchscript_runtime, "LARGEST_WEIGHTS", 500)
    assert "unpacks to" in refusal(means)


class Pair(nn.Module):
    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return x.mean((2, 3)), x


class Counts(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.mean((2, 3)).long()


class OneBatchOnly(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.reshape(2, 3, 64).mean(2)


@pytest.mark.parametrize(
    ("content", "options", "words"),
    [
        (Means(), {"width": 4}, r"the card states one output [N, 4]; of 3 chips"),
        (Pair(), {}, "does not answer with numbers"),
        (Counts(), {}, "does not answer with numbers"),
        (OneBatchOnly(), {}, "fails on [3, 3, 8, 8]"),
        (nn.Linear(5, 3), {}, "fails on [3, 3, 8, 8]"),
    ],
)
def test_a_network_that_is_not_the_cards_is_refused(
    content: nn.Module, options: dict[str, Any], words: str
) -> None:
    assert words in refusal(scripted(content), **options)


def test_an_unknown_device_lists_the_known_ones(means: bytes) -> None:
    with pytest.raises(UsageError, match="'tpu'; valid: cpu, cuda"):
        opened(means, device="tpu")


def test_a_missing_device_names_the_way_out(means: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(UsageError, match=r"finds no CUDA device. Use 'cpu'"):
        opened(means, device="cuda")
