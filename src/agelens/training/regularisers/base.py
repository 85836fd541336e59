"""The contract of a regulariser: a term that the trainer adds to a method's loss."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar, Self

from torch import Tensor

from agelens.models.age_model import AgeModel, ModelOutputs
from agelens.recorded import Recorded


class Regulariser(Recorded, ABC):
    """A scalar of the model, the images and the outputs.

    It is no module, so that what it remembers (a start point, a teacher) is neither trained
    nor saved with the run: `setup` finds it again from the same start.
    """

    name: ClassVar[str]
    """What logs and errors call the term."""

    @abstractmethod
    def setup(self, model: AgeModel) -> None:
        """Remember what the term needs of `model`, which holds its starting weights.

        The trainer calls it once, before a checkpoint is loaded and before the first step.
        """

    @abstractmethod
    def __call__(self, model: AgeModel, images: Tensor, outputs: ModelOutputs, /) -> Tensor:
        """The term, already weighted, for `outputs` of `model` on `images` [B, 3, H, W]."""

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        """Itself: an averaged copy of a model takes no second teacher into memory."""
        return self
