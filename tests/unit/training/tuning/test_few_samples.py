"""A few samples to learn by heart, and learning them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch

from agelens.training.tuning import checks as overfitting
from agelens.training.tuning.checks import few_samples, overfit


def test_samples_are_spread_over_the_ages_and_not_augmented(training) -> None:
    data = training("--data.preset", "dldl-v2").run.data
    before = [dataset.transform for dataset in data.parts["train"].datasets]
    few = few_samples(data, 5, looks=1)
    one, other = few.parts["train"], few.parts["valid"]
    assert one.age_years.tolist() == [0, 16, 32, 46, 62]
    assert one.sample_ids(torch.tensor([1, 4])) == ["shade/16", "shade/62"]
    images = [part.batch(np.arange(5)).images for part in (one, other, one)]
    torch.testing.assert_close(images[0], images[1], rtol=0, atol=0)
    torch.testing.assert_close(images[0], images[2], rtol=0, atol=0)
    assert [dataset.transform for dataset in data.parts["train"].datasets] == before


def test_all_are_taken_where_there_are_fewer(training) -> None:
    assert len(few_samples(training().run.data, 1000, looks=1).parts["train"]) == 32


def test_an_epoch_repeats_them(training) -> None:
    few = few_samples(training().run.data, 4, looks=3)
    batches = list(few.train_dataloader())
    assert len(batches) == len(few.train_dataloader()) == 3
    assert sorted(batches[2].rows.tolist()) == [0, 1, 2, 3]
    assert [len(batch.rows) for batch in few.val_dataloader()] == [4]


def test_brightness_is_learnt_by_heart_and_not_again(maker, tmp_path, monkeypatch) -> None:
    make = maker("--optimizer.lr", "3e-3")
    curves = overfit(make, tmp_path / "s.db", samples=6, steps=80)
    assert curves["mae_years"].min() < 1
    assert set(curves["lr"]) == {3e-3}
    assert curves["step"].tolist() == [20, 40, 60, 80]
    monkeypatch.setattr(overfitting, "run_trial", None)
    again = overfit(make, tmp_path / "s.db", samples=6, steps=80)
    pd.testing.assert_frame_equal(again, curves)


def test_other_rates_are_tried_where_one_is_not_enough(maker, tmp_path) -> None:
    curves = overfit(maker("--optimizer.lr", "1e9"), tmp_path / "s.db", samples=4, steps=20)
    assert sorted(curves["lr"].unique()) == pytest.approx([3e8, 1e9, 3e9])
    assert curves["mae_years"].min() > 1
