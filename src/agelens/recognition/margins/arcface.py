"""ArcFace: a margin on the angle."""

from __future__ import annotations

import math
from typing import Final

import torch
from torch import Tensor

from agelens.errors import UsageError
from agelens.recognition.margins.margin import Margin

_LEAST_SQUARE: Final = 1e-12
"""Of the sine: its root has no slope at 0, where an embedding lies on its centre."""


class ArcFace(Margin):
    """ArcFace (Deng et al., CVPR 2019): s cos(t + m) for the right identity, s cos t for others.

    Past a right identity's angle of pi - m the cosine of t + m would rise again. There it goes
    on as a straight line, cos t - m sin m, whose slope is right. `easy` has the margin only
    where the angle is below a right one, so that what is far off is not pushed.

    Args:
        scale: s.
        angle: m in radians, below pi. At s 64 and m 0.5 a cosine of 0.5 becomes 1.51.
        easy: the easy form.

    Raises:
        UsageError: a scale of 0 or less, or a margin that is negative or no angle.
    """

    def __init__(self, scale: float = 64.0, angle: float = 0.5, *, easy: bool = False) -> None:
        super().__init__(scale, angle)
        if angle >= math.pi:
            raise UsageError(f"ArcFace's margin is an angle below pi, got {angle}")
        self.easy = easy

    def moved(self, cosines: Tensor) -> Tensor:
        """See `Margin`."""
        sines = (1 - cosines.square()).clamp_min(_LEAST_SQUARE).sqrt()
        turned = cosines * math.cos(self.margin) - sines * math.sin(self.margin)
        if self.easy:
            return torch.where(cosines > 0, turned, cosines)
        beyond = cosines - self.margin * math.sin(self.margin)
        return torch.where(cosines > math.cos(math.pi - self.margin), turned, beyond)
