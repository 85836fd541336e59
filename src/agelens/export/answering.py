"""The network that is exported: chips in, the method's answer out, nothing else."""

from __future__ import annotations

import copy
from typing import Final

import torch
from torch import Tensor, nn

from agelens.export.chip_fitting import ChipFitting
from agelens.export.trained_input import TrainedInput
from agelens.models.age_model import AgeModel
from agelens.models.backbones import flush_subnormals
from agelens.recognition.purification.branch import PurifiedBranch

FITTING: Final = "fitting."
"""Names of weights that resize chips begin so: whole numbers, of which none may be rounded."""


class AnsweringNetwork(nn.Module):
    """Normalised chips float32 [N, 3, S, S] to answers float32 [N, width].

    A copy of the model in evaluation form on the CPU; the model itself is left as it is.
    Subnormal weights, which slow processors down, become zero, and so do features of training
    faces, which are nobody's to share.

    Args:
        model: a trained one.
        trained_input: how it saw chips.
    """

    def __init__(self, model: AgeModel | PurifiedBranch, trained_input: TrainedInput) -> None:
        super().__init__()
        self.model = copy.deepcopy(model).cpu().float().requires_grad_(False)
        self.chip_size = trained_input.chip_size
        self.fitting = ChipFitting(self.chip_size, trained_input.transform)
        self.model.forget_faces()
        self.eval()
        flush_subnormals(self.model)

    def forward(self, pixels: Tensor) -> Tensor:
        """Answers [N, width]."""
        return self.model.answer(self.fitting(pixels)).float()

    def example(self) -> Tensor:
        """Two chips of noise: a trace keeps its example in the file, so it shows nobody."""
        shape = (2, 3, self.chip_size, self.chip_size)
        return torch.randn(shape, generator=torch.Generator().manual_seed(0))
