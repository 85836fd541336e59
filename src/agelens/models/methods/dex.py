"""DEX: cross entropy over ages, the expected age as the answer (Rothe et al., IJCV 2018)."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor
from torch.nn import functional

from agelens.models.methods.base import AgeClassification, AgeTargets, Departure


class DEX(AgeClassification):
    """Deep expectation: each age of the scale is a class, learned by cross entropy.

    An age between two classes counts as the nearer, exactly between them as the older.
    The challenge entry averaged 20 networks; that is a matter of use, not of the loss.
    ``point=argmax`` is the plain classifier that tables call cross entropy.

    Args:
        ages: such as ``"0-100"``, which are the paper's.
        point: how the posterior becomes one age: ``expected``, ``median``, ``argmax``.
    """

    name: ClassVar[str] = "dex"
    paper: ClassVar[str] = (
        "Rothe, Timofte and Van Gool, DEX: Deep EXpectation of apparent age from a single image, "
        "ICCV Workshops 2015; IJCV 2018"
    )
    departures: ClassVar[tuple[Departure, ...]] = (
        Departure(
            "VGG-16 begins with IMDB-WIKI, and twenty such networks are averaged in the challenge",
            "any backbone, one network, and no such weights",
            "their files are not ours to ship",
            "several runs with --backbone.name vgg16, then agelens export RUN RUN ... of them",
        ),
        Departure(
            "a photo is searched for faces at several rotations, and 40 % around the box is cut",
            "faces are turned upright by five landmarks and cut on a template",
            "one aligner in training and in use",
            "none; data prepare --expand 0.4 shows as much",
        ),
    )

    def loss(self, outputs: Tensor, targets: AgeTargets) -> Tensor:
        """Cross entropy of logits [B, K] with the class of each age; log K when untrained."""
        return functional.nll_loss(self.log_posterior(outputs), self.classes(targets.age_years))
