"""What gradient methods explain: a network, how it sees chips, and the one number it says."""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass
from typing import Protocol, Self

import cv2
import numpy as np
import torch
from torch import Tensor, nn

from agelens.models.age_model import AgeModel
from agelens.records import RGB, Floats


class EvaluationTransform(Protocol):
    """Chips uint8 [B, 3, S, S] to a network's input, without chance.

    They are resized to `resized` pixels and cropped at the centre to `size`.
    """

    size: int
    resized: int

    def __call__(self, chips: Tensor) -> Tensor:
        """The input float32 [B, 3, size, size]."""


class ExpectedAge(nn.Module):
    """Images [B, 3, size, size] to expected ages [B] in years.

    A card may take another point of the same distribution, a rank or the likeliest age; those
    are steps, which have no gradient.
    """

    def __init__(self, model: AgeModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> Tensor:
        """Ages [B]."""
        method = self.model.method
        posterior = method.posterior(self.model(images).age)
        if method.spec.kind == "mean-spread":
            return posterior[:, 0]
        return posterior @ method.years(posterior)


@dataclass(frozen=True, slots=True, eq=False)
class ExplainedNetwork:
    """A network in evaluation mode and its `transform`, on the CPU."""

    model: AgeModel
    transform: EvaluationTransform

    @property
    def age(self) -> ExpectedAge:
        """Images to the age that is explained."""
        return ExpectedAge(self.model).eval()

    def images(self, chip: RGB) -> Tensor:
        """The network's input [1, 3, size, size] of one chip uint8 [S, S, 3]."""
        pixels = torch.from_numpy(np.ascontiguousarray(chip.transpose(2, 0, 1)))
        return self.transform(pixels[None])

    def onto_chip(self, years: Floats, side: int) -> Floats:
        """Years a place of the input [h, w], as years a pixel of the chip [side, side].

        `years` is a grid of any size over the input. Their sum stays what it was, but for what
        smoothing moves over the border; where the chip was cropped away there are none.
        """
        size, resized = self.transform.size, self.transform.resized
        density = cv2.resize(years, (size, size), interpolation=cv2.INTER_LINEAR)
        density = density * (years.size / size**2)
        before = round((resized - size) / 2)  # as torchvision's center_crop rounds
        around = (before, resized - size - before)
        shrinks = cv2.INTER_AREA if side < resized else cv2.INTER_LINEAR
        whole = cv2.resize(np.pad(density, (around, around)), (side, side), interpolation=shrinks)
        return np.asarray(whole, dtype=np.float64) * (resized / side) ** 2

    def shuffled(self, share: float, seed: int) -> Self:
        """The same, with the weights of some layers shuffled within each.

        Args:
            share: of the layers, counted from the answer back, in (0, 1].
            seed: of the shuffling.
        """
        model = copy.deepcopy(self.model)
        # From the head down: a model registers its backbone first, and that its stem.
        layers = [w for w in reversed(list(model.parameters())) if w.ndim >= 2 and w.numel() > 1]
        generator = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            for weight in layers[: math.ceil(share * len(layers))]:
                order = torch.randperm(weight.numel(), generator=generator)
                weight.copy_(weight.flatten()[order].view_as(weight))
        return type(self)(model, self.transform)
