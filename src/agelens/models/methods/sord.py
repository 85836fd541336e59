"""SORD: soft labels that fall with the distance from the age (Diaz & Marathe, CVPR 2019)."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from agelens.inference.answers import Point
from agelens.models.losses import (
    AgeDistance,
    DistanceName,
    distance_labels,
    distance_named,
    kl_divergence,
)
from agelens.models.methods.base import AgeClassification, AgeTargets, Departure


class SORD(AgeClassification):
    """KL from labels exp(-distance(class, age)), normalised.

    Where cross entropy is printed instead, it is larger by the labels' entropy and has the
    same gradient.

    Args:
        ages: the K ages, such as ``"0-100"`` or ``"16-77"``.
        point: how the posterior becomes one age: ``expected``, ``median``, ``argmax``.
        distance: ``absolute``, which the unified benchmark uses, ``squared``, or an
            `AgeDistance` for any other, such as ``AbsoluteDistance(alpha=0.5)``.

    Raises:
        UnknownNameError: `distance` is another word.
        ValueError: `ages` is no age scale, or `point` no such word.
    """

    name: ClassVar[str] = "sord"
    paper: ClassVar[str] = "Diaz and Marathe, Soft Labels for Ordinal Regression, CVPR 2019"
    departures: ClassVar[tuple[Departure, ...]] = (
        Departure(
            "the distance between ages is whatever one chooses",
            "the absolute one, as the unified benchmark has it",
            "its figures can be compared with",
            "--method.distance squared, or an AgeDistance",
        ),
    )

    def __init__(
        self,
        ages: str = "0-100",
        *,
        point: Point = "expected",
        distance: DistanceName | AgeDistance = "absolute",
    ) -> None:
        super().__init__(ages, point=point)
        self.distance = distance if isinstance(distance, AgeDistance) else distance_named(distance)

    def loss(self, outputs: Tensor, targets: AgeTargets) -> Tensor:
        """KL(label || softmax of logits [B, K]), batch mean."""
        log_posterior = self.log_posterior(outputs)
        ages = targets.age_years.to(log_posterior)
        labels = distance_labels(ages, self.years(log_posterior), self.distance)
        return kl_divergence(labels, log_posterior)
