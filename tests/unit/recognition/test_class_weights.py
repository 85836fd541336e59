"""Sampled centres: the batch's own always seen, the others at rest."""

from __future__ import annotations

import pytest
import torch
from torch.autograd.graph import saved_tensors_hooks

from agelens.recognition.margins import ClassWeights, CosFace, MarginLoss, SampledSGD

IDENTITIES_OF_MS1MV3 = 93_431


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)


def test_the_identities_of_the_batch_are_always_drawn() -> None:
    classes = ClassWeights(100, 4, sample_rate=0.1)
    labels = torch.tensor([7, 99, 7, 0])
    drawn = set()
    for _ in range(50):
        cosines, places = classes(torch.randn(4, 4), labels)
        rows = classes.rows
        assert rows is not None
        assert cosines.shape == (4, 10)
        assert rows[places].equal(labels)
        assert len(rows.unique()) == 10
        drawn |= set(rows.tolist())
    assert len(drawn) > 90  # the others come by chance, and each does at some time


def test_more_identities_in_the_batch_than_the_rate_asks_for_are_all_drawn() -> None:
    classes = ClassWeights(20, 4, sample_rate=0.1)
    labels = torch.arange(9)
    cosines, places = classes(torch.randn(9, 4), labels)
    assert cosines.shape == (9, 9)
    assert places.equal(labels)


def test_a_sampled_cosine_is_the_whole_one() -> None:
    classes = ClassWeights(30, 4, sample_rate=0.3)
    embeddings = torch.randn(5, 4)
    sampled, _ = classes(embeddings, torch.tensor([3, 1, 4, 1, 5]))
    assert classes.rows is not None
    torch.testing.assert_close(sampled, classes.cosines(embeddings)[:, classes.rows])


def test_centres_that_were_not_drawn_rest() -> None:
    classes = ClassWeights(50, 4, sample_rate=0.2)
    loss = MarginLoss(classes, CosFace())
    groups = [{"params": [classes.weight], "weight_decay": 0.1}]
    optimizer = SampledSGD(groups, classes, lr=0.5, momentum=0.9)
    for _ in range(5):
        before = classes.weight.detach().clone()
        optimizer.zero_grad()
        loss(torch.randn(3, 4), torch.tensor([1, 2, 3])).backward()
        optimizer.step()
        moved = (classes.weight != before).any(1)
        assert classes.rows is not None
        assert set(torch.nonzero(moved).flatten().tolist()) == set(classes.rows.tolist())


def test_drawn_centres_move_as_by_torch() -> None:
    """All are drawn, by a rate that rounds to all: equal to torch's SGD at each step."""
    classes, plain = ClassWeights(6, 4, sample_rate=0.99), ClassWeights(6, 4)
    plain.load_state_dict(classes.state_dict())
    linear = torch.nn.Linear(4, 4)
    other = torch.nn.Linear(4, 4)
    other.load_state_dict(linear.state_dict())
    options = {"lr": 0.1, "momentum": 0.9}
    decayed = [{"params": [*linear.parameters(), classes.weight], "weight_decay": 0.01}]
    sampled = SampledSGD(decayed, classes, **options)
    usual = torch.optim.SGD([*other.parameters(), plain.weight], weight_decay=0.01, **options)
    for _ in range(4):
        images, labels = torch.randn(5, 4), torch.randint(6, (5,))
        for network, weights, optimizer in ((linear, classes, sampled), (other, plain, usual)):
            optimizer.zero_grad()
            MarginLoss(weights, CosFace())(network(images), labels).backward()
            optimizer.step()
        assert classes.rows is not None
        torch.testing.assert_close(classes.weight, plain.weight)
        torch.testing.assert_close(linear.weight, other.weight)
    buffers = [
        optimizer.state[w.weight]["momentum_buffer"]
        for optimizer, w in ((sampled, classes), (usual, plain))
    ]
    torch.testing.assert_close(*buffers)


def _held_bytes(identities: int, *, batch: int = 512) -> int:
    """What autograd holds of the loss of a batch, on numbers that take no memory."""
    held: dict[int, int] = {}

    def hold(tensor: torch.Tensor) -> torch.Tensor:
        held[tensor.untyped_storage()._cdata] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.device("meta"), saved_tensors_hooks(hold, lambda tensor: tensor):
        classes = ClassWeights(identities, 512)
        embeddings = torch.empty(batch, 512, requires_grad=True)
        targets = torch.zeros(batch, dtype=torch.int64)
        cosines = classes.cosines(embeddings)
        # Rows whose right centre is here are a matter of values, which such numbers have not.
        torch.nn.functional.cross_entropy(64 * cosines, targets)
    return sum(held.values())


@pytest.mark.parametrize(
    ("share", "gigabytes"),
    [(1.0, 0.6), (0.1, 0.07), (0.125, 0.08)],
    ids=["full", "sampled", "eighth"],
)
def test_a_step_over_ms1mv3_fits(share: float, gigabytes: float) -> None:
    """All centres of MS1MV3 at the published batch; a tenth of them; a shard of eight."""
    assert _held_bytes(round(share * IDENTITIES_OF_MS1MV3)) < gigabytes * 2**30
