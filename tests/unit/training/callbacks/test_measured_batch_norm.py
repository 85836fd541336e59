"""Batch norm that is measured, and changes nothing until it learns."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from agelens.errors import UsageError
from agelens.training.callbacks.measured_batch_norm import MeasuredBatchNorm, measure_batch_norm


@pytest.fixture
def network() -> nn.Module:
    torch.manual_seed(5)
    made = nn.Sequential(
        *(nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6), nn.ReLU()),
        *(nn.Conv2d(6, 4, 3), nn.BatchNorm2d(4), nn.ReLU6()),
    )
    nn.init.uniform_(made[1].bias, -2, 2)
    nn.init.uniform_(made[4].weight, 0.5, 2)
    return made


def test_answers_stay_and_statistics_become_the_datas(network: nn.Module) -> None:
    batches = [3 * torch.randn(16, 3, 12, 12) + 1 for _ in range(3)]
    network.eval()
    with torch.no_grad():
        before = network(batches[0])
        measure_batch_norm(network, batches)
        after = network(batches[0])
        entering = network[0](torch.cat(batches))
    torch.testing.assert_close(after, before, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(network[1].running_mean, entering.mean((0, 2, 3)))
    torch.testing.assert_close(
        network[1].running_var, entering.var((0, 2, 3), correction=0), rtol=1e-3, atol=1e-3
    )


def test_training_on_such_batches_says_nearly_the_same(network: nn.Module) -> None:
    batch = 3 * torch.randn(64, 3, 12, 12) + 1
    network.eval()
    with torch.no_grad():
        before = network(batch)
        plain = (copy.deepcopy(network).train()(batch) - before).abs().mean()
        measure_batch_norm(network.eval(), [batch])
        measured = (network.train()(batch) - before).abs().mean()
    assert measured < 1e-3 < plain


def test_a_network_without_batch_norm_is_refused() -> None:
    with pytest.raises(UsageError, match="no batch norm"):
        measure_batch_norm(nn.Conv2d(3, 4, 1), [torch.ones(1, 3, 4, 4)])
    with pytest.raises(UsageError, match="at least 1 batch"):
        MeasuredBatchNorm(0)
