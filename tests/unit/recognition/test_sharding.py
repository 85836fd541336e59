"""Two processes that share the identities end where one does, at the same batch."""

from __future__ import annotations

import multiprocessing
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, distributed, nn

from agelens.errors import UsageError
from agelens.recognition.margins import ArcFace, ClassWeights, MarginLoss
from agelens.recognition.training.stages import WEIGHT, load_shards, save_shards

PROCESSES, IDENTITIES, BATCH, STEPS = 2, 7, 6, 4
PATIENCE_SECONDS = 300


def _batches() -> list[tuple[Tensor, Tensor]]:
    generator = torch.Generator().manual_seed(1)
    return [
        (
            torch.randn(BATCH, 5, generator=generator),
            torch.randint(IDENTITIES, (BATCH,), generator=generator),
        )
        for _ in range(STEPS)
    ]


def _trained(process: int = 0, processes: int = 1) -> dict[str, Any]:
    """The losses, and a checkpoint of the centres, after a few steps."""
    torch.manual_seed(0)
    network, loss = nn.Linear(5, 4), MarginLoss(ClassWeights(IDENTITIES, 4), ArcFace())
    if processes > 1:
        loss.classes.shard(process, processes)
    weights = [*network.parameters(), *loss.parameters()]
    optimizer = torch.optim.SGD(weights, lr=0.1, momentum=0.9, weight_decay=0.01)
    losses = []
    share = BATCH // processes
    for images, labels in _batches():
        own = slice(process * share, (process + 1) * share)
        optimizer.zero_grad()
        value = loss(network(images[own]), labels[own])
        value.backward()
        for weight in network.parameters():  # what data parallelism does
            if processes > 1:
                distributed.all_reduce(weight.grad)
            assert weight.grad is not None
            weight.grad /= processes
        optimizer.step()
        losses.append(value.item())
        # Saved after every step: that must not disturb the next one.
        checkpoint = {
            "state_dict": {WEIGHT: loss.classes.weight.detach()},
            "optimizer_states": [optimizer.state_dict()],
        }
        save_shards(checkpoint, loss.classes)
    result = {
        "losses": losses,
        "network": network.weight.detach(),
        "centres": checkpoint["state_dict"][WEIGHT].clone(),
        "momentum": _momentum(checkpoint).clone(),
    }
    load_shards(checkpoint, loss.classes)
    mine = optimizer.state[loss.classes.weight]["momentum_buffer"]
    torch.testing.assert_close(checkpoint["state_dict"][WEIGHT], loss.classes.weight.detach())
    torch.testing.assert_close(_momentum(checkpoint), mine)
    return result


def _momentum(checkpoint: dict[str, Any]) -> Tensor:
    buffer = checkpoint["optimizer_states"][0]["state"][2]["momentum_buffer"]
    assert isinstance(buffer, Tensor)
    return buffer


def _work(process: int, folder: str) -> None:
    torch.set_num_threads(1)
    distributed.init_process_group(
        "gloo", init_method=f"file://{folder}/store", rank=process, world_size=PROCESSES
    )
    torch.save(_trained(process, PROCESSES), Path(folder) / f"{process}.pt")
    distributed.destroy_process_group()


def test_two_processes_end_where_one_does(tmp_path: Path) -> None:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["agelens.recognition.training.stages"])
    workers = [
        context.Process(target=_work, args=(process, str(tmp_path))) for process in range(PROCESSES)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(PATIENCE_SECONDS)
        worker.kill()
    assert [worker.exitcode for worker in workers] == [0] * PROCESSES
    alone = _trained()
    for process in range(PROCESSES):
        shared = torch.load(tmp_path / f"{process}.pt", weights_only=True)
        assert shared["losses"] == pytest.approx(alone["losses"], rel=1e-5)
        for name in ("network", "centres", "momentum"):
            torch.testing.assert_close(shared[name], alone[name], msg=name)


def test_shards_hold_every_identity_once() -> None:
    whole = ClassWeights(IDENTITIES, 3)
    stretches = []
    for process in range(3):
        classes = ClassWeights(IDENTITIES, 3)
        classes.load_state_dict(whole.state_dict())
        classes.shard(process, 3)
        stretches.append(classes.weight)
        assert classes.weight.equal(whole.weight[classes.stretch])
    assert torch.cat(stretches).equal(whole.weight)
    assert max(map(len, stretches)) - min(map(len, stretches)) <= 1


def test_more_processes_than_identities_are_refused() -> None:
    with pytest.raises(UsageError, match="7 centres"):
        ClassWeights(IDENTITIES, 3).shard(0, 8)
