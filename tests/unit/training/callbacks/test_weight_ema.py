"""Averaged weights: the sum itself, who sees it, and that resuming goes on exactly."""

from __future__ import annotations

import pytest
import pytorch_lightning as pl
import torch

from agelens.errors import UsageError
from agelens.training.callbacks import WeightEMA
from agelens.training.run_trainer import lightning_logging


class _KeepAll(pl.Callback):
    """Saves after each epoch, as the last callback."""

    def __init__(self, folder) -> None:
        self.folder = folder

    def on_train_epoch_end(self, trainer, pl_module) -> None:
        trainer.save_checkpoint(self.folder / f"{trainer.current_epoch}.ckpt")


def _read(path):
    return torch.load(path, weights_only=True)


def _model_part(state):
    return {name.removeprefix("model."): value for name, value in state.items()}


def _averaged(history, decay, *, warm_up):
    """The paper's sum over the states after each step, by name."""
    averages = dict(history[0])
    for update, state in enumerate(history[1:], start=1):
        d = min(decay, (1 + update) / (10 + update)) if warm_up else decay
        for name, value in state.items():
            if value.is_floating_point():
                averages[name] = d * averages[name] + (1 - d) * value
            else:
                averages[name] = value
    return averages


@pytest.mark.parametrize("warm_up", [False, True])
def test_is_the_moving_average_of_weights_and_batch_norm(toy, fit, state, warm_up) -> None:
    module = toy()
    fit(module, WeightEMA(0.8, warm_up=warm_up), epochs=3)
    expected = _averaged(module.history, 0.8, warm_up=warm_up)
    got = state(module.model)
    assert got["backbone.norm1.num_batches_tracked"] == 9
    for name, value in expected.items():
        torch.testing.assert_close(got[name], value, msg=name)
    assert not torch.equal(got["head.weight"], module.history[-1]["head.weight"])


def test_validation_and_checkpoints_see_the_average_and_training_does_not(
    toy, fit, tmp_path
) -> None:
    module = toy()
    fit(module, WeightEMA(0.8), _KeepAll(tmp_path), epochs=2)
    plain = toy()
    fit(plain, epochs=2)
    assert len(module.history) == 6
    for mine, theirs in zip(module.history, plain.history, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=0, atol=0)
    for epoch, steps in ((0, 3), (1, 6)):
        expected = _averaged(module.history[:steps], 0.8, warm_up=True)
        torch.testing.assert_close(module.seen[epoch], expected)
        kept = _read(tmp_path / f"{epoch}.ckpt")
        torch.testing.assert_close(_model_part(kept["state_dict"]), expected)
        raw = _model_part(kept["current_model_state"])
        torch.testing.assert_close(raw, module.history[steps - 1], rtol=0, atol=0)


def test_a_resumed_run_ends_in_the_same_bits(toy, fit, state, tmp_path) -> None:
    whole = toy()
    fit(whole, WeightEMA(0.9), _KeepAll(tmp_path), epochs=4)
    resumed = toy()
    fit(resumed, WeightEMA(0.9), epochs=4, ckpt_path=tmp_path / "1.ckpt")
    assert len(resumed.history) == 6
    torch.testing.assert_close(state(resumed), state(whole), rtol=0, atol=0)
    torch.testing.assert_close(resumed.seen, whole.seen[2:], rtol=0, atol=0)


def test_what_a_head_learns_from_validation_is_saved_with_that_epoch(toy, fit, tmp_path) -> None:
    module = toy()
    module.model.head.register_buffer("spread_years", torch.tensor(0.0))

    def learn() -> None:
        module.model.head.spread_years.fill_(module.trainer.current_epoch + 7)

    module.on_validation_epoch_end = learn
    fit(module, WeightEMA(0.9), _KeepAll(tmp_path), epochs=2)
    for epoch in (0, 1):
        saved = _read(tmp_path / f"{epoch}.ckpt")["state_dict"]
        assert saved["model.head.spread_years"] == epoch + 7
    assert module.model.head.spread_years == 8


def test_a_checkpoint_that_is_validated_later_is_what_was_kept(toy, fit, batches, tmp_path) -> None:
    """Lightning's callback would put the last average, or the plain weights, in its place."""
    module = toy()
    trainer = fit(module, WeightEMA(0.9), _KeepAll(tmp_path), epochs=3)
    module.seen.clear()
    with lightning_logging():
        trainer.validate(module, batches, ckpt_path=tmp_path / "0.ckpt", verbose=False)
    kept = _model_part(_read(tmp_path / "0.ckpt")["state_dict"])
    torch.testing.assert_close(module.seen[0], kept, rtol=0, atol=0)


def test_steps_of_several_batches_are_averaged_once_each(toy, fit, state) -> None:
    module = toy()
    fit(module, WeightEMA(0.5, warm_up=False), epochs=2, accumulate_grad_batches=3)
    steps = module.history[2::3]
    expected = _averaged(steps, 0.5, warm_up=False)
    torch.testing.assert_close(state(module.model)["head.weight"], expected["head.weight"])


def test_a_checkpoint_without_average_is_refused(toy, fit, tmp_path) -> None:
    fit(toy(), _KeepAll(tmp_path), epochs=1)
    with pytest.raises(UsageError, match="holds no averaged weights"):
        fit(toy(), WeightEMA(), epochs=2, ckpt_path=tmp_path / "0.ckpt")


@pytest.mark.parametrize("decay", [-0.1, 1.0])
def test_a_decay_out_of_range_is_refused(decay: float) -> None:
    with pytest.raises(UsageError, match="0 to below 1"):
        WeightEMA(decay)
