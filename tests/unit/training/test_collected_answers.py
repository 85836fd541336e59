from __future__ import annotations

import numpy as np
import torch

from agelens.training.epoch_metrics import PredictionGatherer


def test_answers_come_into_the_order_of_the_part() -> None:
    collected = PredictionGatherer(4, 2)
    collected.add(torch.tensor([[3.0, 3], [0, 0]]), torch.tensor([3, 0]))
    collected.add(torch.tensor([[2.0, 2], [3, 3]]), torch.tensor([2, 3]))
    whole = collected.whole()
    assert whole.dtype == np.float64
    assert np.array_equal(whole[[0, 2, 3], 0], [0, 2, 3])
    assert np.isnan(whole[1]).all()


def test_answers_of_half_precision_are_taken() -> None:
    collected = PredictionGatherer(1, 1)
    collected.add(torch.tensor([[0.5]], dtype=torch.bfloat16), torch.tensor([0]))
    assert collected.whole().tolist() == [[0.5]]
