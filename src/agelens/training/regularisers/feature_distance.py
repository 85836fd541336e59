"""Features are held to a teacher's, not only answers."""

from __future__ import annotations

from typing import Any, ClassVar

from torch import Tensor, nn
from torch.nn import functional

from agelens.errors import UsageError
from agelens.models.age_model import AgeModel, ModelOutputs
from agelens.training.regularisers.base import Regulariser
from agelens.training.regularisers.teachers import Teacher, teacher_named


class FeatureDistance(Regulariser):
    """Romero et al., "FitNets: Hints for Thin Deep Nets", ICLR 2015, on the last features.

    ``weight`` times the mean squared difference between the student's features and the
    teacher's. They need the same width, so the teacher is most often the start point.

    Args:
        teacher: ``start`` for a copy of the start point, a run folder, or a `Teacher`.
        weight: of the term.

    Raises:
        UsageError: a negative weight; in use, a teacher that shows no features, or of
            another width.
        UnknownNameError: (in `setup`) there is no such teacher.
    """

    name: ClassVar[str] = "feature-distance"

    def __init__(self, teacher: str | Teacher = "start", weight: float = 1.0) -> None:
        if weight < 0:
            raise UsageError(f"the weight of a feature distance is at least 0, got {weight}")
        self.teacher = teacher
        self.weight = weight
        self._teacher: Teacher | None = None
        self._features: Tensor | None = None

    def setup(self, model: AgeModel) -> None:
        """Load the teacher, and listen to what the model's head is given."""
        teacher = self.teacher
        self._teacher = teacher_named(teacher, model) if isinstance(teacher, str) else teacher
        # The head's input: a backbone is not always called as a module, a head is.
        model.head.register_forward_pre_hook(self._listen)

    def __call__(self, model: AgeModel, images: Tensor, _: ModelOutputs, /) -> Tensor:
        """The weighted distance, for the last forward pass of `model`."""
        if self._teacher is None or self._features is None:
            raise RuntimeError("FeatureDistance.setup(model) comes before the forward pass")
        wanted = self._teacher.features(images)
        # What auxiliary heads feed lies behind the backbone's own features.
        own = self._features[:, : model.backbone.features]
        self._features = None  # frees the graph
        if own.shape != wanted.shape:
            raise UsageError(
                f"feature distance: the teacher has {wanted.shape[1]} features, the student "
                f"{own.shape[1]}; take a teacher with the same backbone"
            )
        return self.weight * functional.mse_loss(own, wanted)

    def _listen(self, head: nn.Module, inputs: tuple[Any, ...]) -> None:
        if head.training:
            self._features = inputs[0]
