"""Batch norm that processes share: alone it is torch's own; two halves are one whole elsewhere."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from agelens.recognition.training.train import SharedBatchNorm, share_batch_norm


@pytest.mark.parametrize(
    ("norm", "shape"),
    [
        (nn.BatchNorm1d(3), (8, 3)),
        (nn.BatchNorm2d(3), (8, 3, 4, 5)),
        (nn.BatchNorm2d(3, affine=False), (8, 3, 4, 5)),
        (nn.BatchNorm1d(3, momentum=None), (8, 3)),
        (nn.BatchNorm2d(3, track_running_stats=False), (8, 3, 4, 5)),
    ],
)
def test_alone_it_is_that_of_torch(norm: nn.Module, shape: tuple[int, ...]) -> None:
    generator = torch.Generator().manual_seed(0)
    theirs = nn.Sequential(copy.deepcopy(norm))
    ours = copy.deepcopy(theirs)
    share_batch_norm(ours)
    assert isinstance(ours[0], SharedBatchNorm)
    assert ours.state_dict().keys() == theirs.state_dict().keys()
    for _ in range(3):
        first = (3 + 2 * torch.randn(shape, generator=generator)).requires_grad_()
        second = first.detach().clone().requires_grad_()
        weights = torch.randn(shape, generator=generator)
        mine, expected = ours(first), theirs(second)
        torch.testing.assert_close(mine, expected, atol=1e-5, rtol=1e-5)
        (mine * weights).sum().backward()
        (expected * weights).sum().backward()
        torch.testing.assert_close(first.grad, second.grad, atol=1e-5, rtol=1e-5)
    for mine, expected in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(mine.grad, expected.grad, atol=1e-4, rtol=1e-5)
    for name, value in theirs.state_dict().items():
        torch.testing.assert_close(ours.state_dict()[name], value, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(ours.eval()(first), theirs.eval()(second), atol=1e-4, rtol=1e-5)
