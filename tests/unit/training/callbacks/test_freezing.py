"""Frozen stages do not move, in any sense, until they are let go."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch

from agelens.errors import UnknownNameError, UsageError
from agelens.training.callbacks import FrozenBatchNorm, StageFreezing

STEPS = 3  # an epoch


def _still(states, name: str) -> bool:
    return all(torch.equal(state[name], states[0][name]) for state in states)


def _moves(states, name: str) -> bool:
    return all(not torch.equal(one[name], after[name]) for one, after in pairwise(states))


def test_a_frozen_stage_stays_with_its_batch_norm_and_the_rest_learns(toy, fit, state) -> None:
    module = toy()
    states = [state(module.model)]
    fit(module, StageFreezing(2))
    states += module.history
    for name in states[0]:
        frozen = name.startswith(("backbone.stem", "backbone.norm1", "backbone.middle"))
        assert _still(states, name) if frozen else _moves(states, name), name
    assert module.model.backbone.stem.weight.grad is None
    assert not module.model.backbone.norm1.training
    assert not module.model.backbone.middle[1].training  # nothing is dropped either
    assert module.model.backbone.norm2.training


def test_a_stage_is_named_by_any_of_its_prefixes(toy, fit, state) -> None:
    module = toy()
    states = [state(module.model)]
    fit(module, StageFreezing(["norm2."]))
    states += module.history
    assert _still(states, "backbone.last.weight")
    assert _still(states, "backbone.norm2.running_mean")
    assert _moves(states, "backbone.stem.weight")


def test_stages_are_let_go_one_by_one_from_the_last(toy, fit, state) -> None:
    module = toy()
    states = [state(module.model)]
    fit(module, StageFreezing(3, unfreeze_at=[1, 2]), epochs=4)
    states += module.history
    assert _still(states[: STEPS + 1], "backbone.last.weight")
    assert _still(states[: STEPS + 1], "backbone.norm2.running_mean")
    assert _moves(states[STEPS:], "backbone.last.weight")
    assert _moves(states[STEPS:], "backbone.norm2.running_mean")
    assert _still(states[: 2 * STEPS + 1], "backbone.middle.0.weight")
    assert _moves(states[2 * STEPS :], "backbone.middle.0.weight")
    assert module.model.backbone.middle[1].training
    assert _still(states, "backbone.stem.weight")
    assert _still(states, "backbone.norm1.running_var")


def test_all_are_let_go_at_one_epoch(toy, fit, state) -> None:
    module = toy()
    states = [state(module.model)]
    fit(module, StageFreezing(3, unfreeze_at=1), epochs=2)
    states += module.history
    for name in ("stem.weight", "middle.0.weight", "last.weight", "norm1.running_mean"):
        assert _still(states[: STEPS + 1], f"backbone.{name}")
        assert _moves(states[STEPS:], f"backbone.{name}")


def test_two_names_of_one_stage_are_one_stage(toy, fit, state) -> None:
    module = toy()
    freezing = StageFreezing(["stem.", "norm1.", "last.", "norm2."], unfreeze_at=1)
    fit(module, freezing, epochs=2)
    assert all(weight.requires_grad for weight in module.model.parameters())


def test_a_run_resumed_after_the_letting_go_is_the_unbroken_one(toy, fit, state, tmp_path) -> None:
    def freezing():
        return StageFreezing(2, unfreeze_at=[1, 3])

    whole = toy()
    fit(whole, freezing(), epochs=4)
    first, resumed = toy(), toy()
    trainer = fit(first, freezing(), epochs=2)
    trainer.save_checkpoint(tmp_path / "two.ckpt")
    fit(resumed, freezing(), epochs=4, ckpt_path=tmp_path / "two.ckpt")
    torch.testing.assert_close(state(resumed), state(whole), rtol=0, atol=0)


@pytest.mark.parametrize("freeze_first", [True, False])
def test_all_batch_norm_keeps_its_statistics_and_learns_its_scales(
    toy, fit, state, freeze_first
) -> None:
    module = toy()
    states = [state(module.model)]
    callbacks = [FrozenBatchNorm(), StageFreezing(1, unfreeze_at=1)]
    fit(module, *(callbacks if freeze_first else callbacks[::-1]), epochs=2)
    states += module.history
    for norm in ("norm1", "norm2"):
        for name in ("running_mean", "running_var", "num_batches_tracked"):
            assert _still(states, f"backbone.{norm}.{name}")
    assert _moves(states, "backbone.norm2.weight")
    assert _moves(states[STEPS:], "backbone.norm1.weight")


def test_more_stages_than_there_are(toy, fit) -> None:
    with pytest.raises(UsageError, match=r"cannot freeze 4 stages: the backbone has 3, stem\., no"):
        fit(toy(), StageFreezing(4))


def test_an_unknown_stage_is_an_error_that_lists_the_known(toy, fit) -> None:
    with pytest.raises(UnknownNameError, match=r"stage 'stm\.'. Did you mean 'stem\.'"):
        fit(toy(), StageFreezing(["stm."]))


@pytest.mark.parametrize(
    ("stages", "unfreeze_at", "complaint"),
    [
        (0, None, "at least 1 stage"),
        ([], None, "at least 1 stage"),
        (2, [1, 2, 3], "at most as many epochs as stages"),
        (3, [2, 1], "must ascend"),
    ],
)
def test_what_cannot_be_meant_is_refused(stages, unfreeze_at, complaint) -> None:
    with pytest.raises(UsageError, match=complaint):
        StageFreezing(stages, unfreeze_at)
