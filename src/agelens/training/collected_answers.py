"""A network's answers to a whole part, from any number of processes."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from agelens.records import Floats
from agelens.training.processes import of_all_processes


class CollectedAnswers:
    """Answers as batches bring them, put in the order of the part when all are there.

    Args:
        samples: of the part.
        width: numbers an answer.
    """

    def __init__(self, samples: int, width: int) -> None:
        self.samples = samples
        self.width = width
        self._answers: list[Tensor] = []
        self._rows: list[Tensor] = []

    def add(self, answers: Tensor, rows: Tensor) -> None:
        """`answers` [B, width] to the samples `rows` [B]."""
        self._answers.append(answers.detach().float().cpu())
        self._rows.append(rows.cpu())

    def whole(self) -> Floats:
        """All answers [samples, width], on every process; NaN where there was none.

        What two processes both answered counts once.
        """
        mine = (torch.cat(self._rows).numpy(), torch.cat(self._answers).numpy())
        answers = np.full((self.samples, self.width), np.nan)
        for rows, values in of_all_processes(mine):
            answers[rows] = values
        return answers
