"""Teachers: networks whose answers a student is held to.

A teacher sees the very images that the student sees, in the student's normalisation, and
brings them into the form that it was trained on.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from copy import deepcopy
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torchvision.transforms.v2 import functional as v2

from agelens.ages import AgeScale
from agelens.errors import CardError, UnknownNameError, UsageError
from agelens.inference.cards import MODELS, Card, load_card
from agelens.inference.network import ChipNetwork
from agelens.models.age_model import AgeModel
from agelens.models.backbones.base import Backbone
from agelens.training.run import open_run
from agelens.training.run_folder import RunFolder

_WHITE = 255.0


class Lesson(NamedTuple):
    """What a teacher says of B images.

    `posterior` is [B, K] over `scale`, or a mean and a spread [B, 2] in years where that
    is None.
    """

    posterior: Tensor
    scale: AgeScale | None


class Teacher(ABC):
    """A network that answers and is not trained.

    Args:
        student: whose normalisation the images are in.
    """

    def __init__(self, student: Backbone) -> None:
        self.student_form = list(student.mean), list(student.std)

    @abstractmethod
    def predict(self, images: Tensor, /) -> Lesson:
        """What it says of `images` [B, 3, H, W]."""

    @abstractmethod
    def features(self, images: Tensor, /) -> Tensor:
        """Its backbone's features [B, F] of `images` [B, 3, H, W].

        Raises:
            UsageError: it shows none.
        """

    def pixels(self, images: Tensor) -> Tensor:
        """The student's images as pixels from 0 to 1."""
        mean, std = (images.new_tensor(part).reshape(1, 3, 1, 1) for part in self.student_form)
        return images * std + mean


class ModelTeacher(Teacher):
    """A torch model: copied, put in evaluation mode, and never trained.

    Args:
        model: the teacher.
        student: whose normalisation the images are in.
        size: side in pixels that the teacher was trained on; the student's by default.
        form: mean and deviation of pixels that it was trained on; its backbone's by default.
    """

    def __init__(
        self,
        model: AgeModel,
        student: Backbone,
        *,
        size: int | None = None,
        form: tuple[Sequence[float], Sequence[float]] | None = None,
    ) -> None:
        super().__init__(student)
        self.model = deepcopy(model).requires_grad_(requires_grad=False).eval()
        mean, std = form or (model.backbone.mean, model.backbone.std)
        self._form = list(mean), list(std)
        self._size = size

    @torch.no_grad()
    def predict(self, images: Tensor, /) -> Lesson:
        """See `Teacher`."""
        method = self.model.method
        posterior = method.posterior(self.model(self._own_form(images)).age)
        return Lesson(posterior, None if method.spec.kind == "mean-spread" else method.scale)

    @torch.no_grad()
    def features(self, images: Tensor, /) -> Tensor:
        """See `Teacher`."""
        return self.model.features(self._own_form(images))

    def _own_form(self, images: Tensor) -> Tensor:
        self.model.to(images.device)
        if self._form != self.student_form:
            images = v2.normalize(self.pixels(images), *self._form)
        if self._size is not None and images.shape[-1] != self._size:
            images = v2.resize(images, [self._size, self._size], antialias=True)
        return images


class PackagedTeacher(Teacher):
    """A network with a card. It runs in onnxruntime on the CPU.

    The chips must be cut as its card says, or it is asked about faces out of place.

    Args:
        card: of an age model.
        student: whose normalisation the images are in.

    Raises:
        CardError: the card's task is another, or its weights are not the card's.
    """

    def __init__(self, card: Card, student: Backbone) -> None:
        super().__init__(student)
        if card.task != "age":
            raise CardError(f"{card.name}: a teacher of ages is needed, its task is {card.task}")
        self._network = ChipNetwork(card)

    def predict(self, images: Tensor, /) -> Lesson:
        """See `Teacher`."""
        size = self._network.card.input.size
        chips = (self.pixels(images) * _WHITE).clamp_(0, _WHITE)
        if chips.shape[-2:] != (size, size):
            chips = v2.resize(chips, [size, size], antialias=True)
        network = self._network
        read = network.read(network.answers(chips.permute(0, 2, 3, 1).cpu().numpy()))
        if read.spread_years is not None:
            moments = np.stack([read.estimate_years, read.spread_years], axis=1)
            return Lesson(images.new_tensor(moments), None)
        return Lesson(images.new_tensor(read.distribution), read.spec.scale)

    def features(self, _: Tensor, /) -> Tensor:
        """It shows none."""
        raise UsageError(
            f"teacher {self._network.card.name!r} answers with ages only: for features take "
            f"'start' or a run folder"
        )


START: Final = "start"


def teacher_named(name: str, student: AgeModel) -> Teacher:
    """The teacher that `name` stands for.

    Args:
        name: ``start`` for a copy of `student` as it is now; a run folder; or a packaged
            model or a card, as `load_card` takes it.
        student: the model that will be taught.

    Raises:
        UnknownNameError: it stands for nothing.
        CardError: a card that is malformed, or of another task.
        TrainingError: a run folder whose weights cannot be read.
    """
    if name == START:
        return ModelTeacher(student, student.backbone)
    if RunFolder(Path(name)).weights.is_file():
        # That module knows all parts of a configuration, regularisers too.

        run = open_run(name)
        seen = run.data["input"]
        form = seen["mean"], seen["std"]
        return ModelTeacher(run.model, student.backbone, size=seen["size"], form=form)
    if name not in MODELS and not Path(name).exists():
        raise UnknownNameError("teacher", name, (START, *MODELS), " A run folder works too.")
    return PackagedTeacher(load_card(name), student.backbone)
