"""What is not finite stops the run, names itself and its samples, and moves nothing."""

from __future__ import annotations

import json
import math

import pytest
import torch

from agelens.errors import TrainingError
from agelens.training.callbacks import NaNGuard


def _poisoned(module, *, step: int, part: str, value: float):
    """The toy module whose loss has a bad part in one step."""
    plain = module.training_step

    def training_step(batch, batch_idx):
        loss = plain(batch, batch_idx)
        if module.trainer.global_step == step:
            bad = loss * value
            module.loss_parts[part] = bad.detach()
            return loss + bad
        return loss

    module.training_step = training_step
    return module


def _report(folder):
    return json.loads((folder / "nan-batch.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_bad_loss_names_its_part_and_its_samples(toy, fit, state, tmp_path, value) -> None:
    module = _poisoned(toy(), step=4, part="l2-sp", value=value)
    with pytest.raises(TrainingError, match=r"the loss \(l2-sp\) is not finite at step 4 of epoch"):
        fit(module, NaNGuard(), epochs=3)
    report = _report(tmp_path)
    assert report["sample_ids"] == [f"noise/{row}" for row in range(4, 8)]
    assert report["step"] == 4
    assert report["epoch"] == 1
    assert report["loss_parts"]["l2-sp"] == str(value)
    assert float(report["loss_parts"]["age"]) > 0
    torch.testing.assert_close(
        {n: w for n, w in state(module.model).items() if "norm" not in n},
        {n: w for n, w in module.history[3].items() if "norm" not in n},
        rtol=0,
        atol=0,
    )


def test_a_bad_gradient_names_its_weights(toy, fit, tmp_path) -> None:
    module = toy()
    weight = module.model.backbone.middle[0].weight
    weight.register_hook(
        lambda gradient: gradient * math.nan if module.trainer.global_step == 2 else gradient
    )
    with pytest.raises(TrainingError, match=r"gradient \(of model.backbone.middle.0.weight\) is"):
        fit(module, NaNGuard(tmp_path / "run"))
    assert _report(tmp_path / "run")["sample_ids"] == [f"noise/{row}" for row in range(8, 12)]
    assert len(module.history) == 2


def test_all_batches_of_a_bad_step_are_named(toy, fit, tmp_path) -> None:
    module = toy()
    module.model.head.bias.register_hook(lambda gradient: gradient * math.inf)
    with pytest.raises(TrainingError, match="The 8 samples"):
        fit(module, NaNGuard(), accumulate_grad_batches=2)
    assert len(_report(tmp_path)["sample_ids"]) == 8


def test_a_healthy_run_is_left_alone(toy, fit, state, tmp_path) -> None:
    guarded, plain = toy(), toy()
    fit(guarded, NaNGuard())
    fit(plain)
    assert not (tmp_path / "nan-batch.json").exists()
    torch.testing.assert_close(state(guarded), state(plain), rtol=0, atol=0)
