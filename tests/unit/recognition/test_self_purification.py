"""The unit against its formula, layer by layer."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from agelens.errors import UsageError
from agelens.recognition.purification import SelfPurification


def _by_hand(x: Tensor, block: nn.Sequential) -> Tensor:
    norm, linear = block[0], block[2]
    centred = (x - x.mean(0)) / (x.var(0, unbiased=False) + norm.eps).sqrt()
    shifted = norm.weight * centred + norm.bias
    return shifted.clamp_min(0) @ linear.weight.T + linear.bias


@pytest.mark.parametrize("blocks", [1, 2])
def test_it_takes_off_what_its_blocks_find(blocks: int) -> None:
    torch.manual_seed(0)
    unit = SelfPurification(6, blocks)
    x = torch.randn(16, 6)
    found = x
    for block in unit.impurity:
        found = _by_hand(found, block)
    torch.testing.assert_close(unit(x), x - found)


def test_without_blocks_it_is_the_identity_and_has_no_weights() -> None:
    unit = SelfPurification(6, 0)
    x = torch.randn(4, 6)
    assert unit(x) is x
    assert not unit.state_dict()


def test_a_block_has_the_stated_number_of_weights() -> None:
    assert sum(weight.numel() for weight in SelfPurification(512).parameters()) == 263_680


def test_another_number_of_blocks_is_refused() -> None:
    with pytest.raises(UsageError, match="0, 1 or 2 blocks, got 3"):
        SelfPurification(6, 3)
