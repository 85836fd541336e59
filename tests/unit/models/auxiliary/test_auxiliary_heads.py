"""Gender and ethnicity beside the age, and before it."""

from __future__ import annotations

import copy
import math

import pytest
import torch
from torch import Tensor

from agelens.errors import UsageError
from agelens.models.auxiliary import (
    AUXILIARY,
    AuxiliaryHeads,
    AuxiliaryTask,
    FeedsAgeHeads,
    ParallelHeads,
)

GENDER = AuxiliaryTask("gender", ("female", "male"))
ETHNICITY = AuxiliaryTask("ethnicity", ("asian", "black", "white"), weight=0.5)
CODES = {"gender": torch.tensor([0, -1, 1, 1]), "ethnicity": torch.tensor([2, 0, -1, -1])}


def heads(way: str) -> AuxiliaryHeads:
    torch.manual_seed(0)
    return AUXILIARY[way]([GENDER, ETHNICITY], 6, 3)


def inputs() -> tuple[Tensor, Tensor]:
    chance = torch.Generator().manual_seed(1)
    return torch.randn(4, 6, generator=chance), torch.randn(4, 3, generator=chance)


def test_parallel_heads_leave_the_features_alone() -> None:
    made = heads("parallel")
    features, early = inputs()
    seen, logits = made(features, early)
    assert isinstance(made, ParallelHeads)
    assert made.fed == 0
    assert torch.equal(seen, features)
    assert torch.equal(logits["gender"], made.heads[0](features))
    assert torch.equal(logits["ethnicity"], made.heads[1](features))


def test_feeding_heads_look_early_and_join_the_features() -> None:
    made = heads("feeds-age")
    features, early = inputs()
    seen, logits = made(features, early)
    assert isinstance(made, FeedsAgeHeads)
    assert made.fed == 5
    assert torch.equal(logits["gender"], made.heads[0](early))
    assert torch.equal(seen, torch.cat([features, logits["gender"], logits["ethnicity"]], dim=1))


def test_the_age_teaches_the_heads_that_feed_it() -> None:
    made = heads("feeds-age")
    made(*inputs())[0][:, 6:].sum().backward()
    assert all(weight.grad is not None for weight in made.parameters())


@pytest.mark.parametrize("way", AUXILIARY)
def test_loss_is_plain_loops_over_the_labelled(way: str) -> None:
    made = heads(way).double()
    features, early = (each.double() for each in inputs())
    logits = made(features, early)[1]
    for values in logits.values():
        values.retain_grad()
    total = torch.zeros(()).double()
    for column, weight in (("gender", 1.0), ("ethnicity", 0.5)):
        costs = [
            -(row[code].exp() / row.exp().sum()).log()
            for row, code in zip(logits[column], CODES[column].tolist(), strict=True)
            if code >= 0
        ]
        loss = weight * sum(costs) / len(costs)
        torch.testing.assert_close(made.losses(logits, CODES)[column], loss, rtol=1e-6, atol=1e-6)
        total = total + loss
    torch.testing.assert_close(made.loss(logits, CODES), total, rtol=1e-6, atol=1e-6)
    ours = torch.autograd.grad(made.loss(logits, CODES), [*made.parameters()], retain_graph=True)
    theirs = torch.autograd.grad(total, [*made.parameters()])
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("way", AUXILIARY)
def test_a_batch_without_labels_costs_nothing_and_keeps_its_gradient(way: str) -> None:
    made = heads(way)
    unknown = {column: torch.full((4,), -1) for column in CODES}
    loss = made.loss(made(*inputs())[1], unknown)
    assert loss.item() == 0
    loss.backward()
    for weight in made.parameters():
        assert weight.grad is not None
        assert weight.grad.abs().max() == 0


def test_ignorance_costs_the_logarithm_of_the_classes() -> None:
    losses = heads("parallel").losses(
        {"gender": torch.zeros(4, 2), "ethnicity": torch.zeros(4, 3)}, CODES
    )
    assert losses["gender"].item() == pytest.approx(math.log(2))
    assert losses["ethnicity"].item() == pytest.approx(0.5 * math.log(3))


def test_columns_may_have_any_name() -> None:
    made = ParallelHeads(
        [AuxiliaryTask("type", ("a", "b")), AuxiliaryTask("x.y", ("a", "b"))], 6, 3
    )
    assert set(made(*inputs())[1]) == {"type", "x.y"}
    assert set(copy.deepcopy(made).state_dict()) == set(made.state_dict())


def test_a_batch_that_lacks_a_column_is_refused() -> None:
    made = heads("parallel")
    with pytest.raises(UsageError, match=r"no labels of 'ethnicity', only of \['gender'\]"):
        made.loss(made(*inputs())[1], {"gender": CODES["gender"]})


@pytest.mark.parametrize("tasks", [[], [GENDER, GENDER]])
def test_tasks_are_columns_each_once(tasks: list[AuxiliaryTask]) -> None:
    with pytest.raises(UsageError, match="each once"):
        ParallelHeads(tasks, 6, 3)


@pytest.mark.parametrize(
    ("classes", "weight", "complaint"),
    [
        (("female",), 1.0, "two different classes"),
        (("female", "female"), 1.0, "two different classes"),
        (("female", "male"), -1.0, "weight"),
        (("female", "male"), math.nan, "weight"),
    ],
)
def test_senseless_tasks_are_refused(
    classes: tuple[str, ...], weight: float, complaint: str
) -> None:
    with pytest.raises(ValueError, match=complaint):
        AuxiliaryTask("gender", classes, weight)
