"""Means over an epoch's samples of the terms of the loss."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from agelens.training.processes import of_all_processes


class LossSums:
    """Sums of terms by part and name (``train/loss``), over samples and not over batches.

    They are tensors until they are asked for, so that no step waits for a device.
    """

    def __init__(self) -> None:
        self._sums: dict[str, Tensor] = {}
        self._samples: dict[str, int] = {}

    def add(self, part: str, terms: Mapping[str, Tensor], samples: int) -> None:
        """`terms` are means over a batch of `samples`."""
        for name, value in terms.items():
            key = f"{part}/{name}"
            self._sums[key] = self._sums.get(key, 0) + value.detach().double() * samples
        self._samples[part] = self._samples.get(part, 0) + samples

    def means(self) -> dict[str, float]:
        """The means of all processes since they were last asked for."""
        mine = ({key: float(total) for key, total in self._sums.items()}, self._samples)
        self._sums, self._samples = {}, {}
        parts = of_all_processes(mine)
        samples = {part: sum(one[1][part] for one in parts) for part in mine[1]}
        return {
            key: sum(one[0][key] for one in parts) / samples[key.partition("/")[0]]
            for key in mine[0]
        }

    def state_dict(self) -> dict[str, Any]:
        """Tensors and numbers."""
        return {"sums": dict(self._sums), "samples": dict(self._samples)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take up what `state_dict` gave."""
        self._sums, self._samples = dict(state["sums"]), dict(state["samples"])
