"""CosFace: a margin on the cosine."""

from __future__ import annotations

from torch import Tensor

from agelens.recognition.margins.margin import Margin


class CosFace(Margin):
    """CosFace (Wang et al., CVPR 2018): s (cos t - m) for the right identity, s cos t for others.

    Args:
        scale: s.
        margin: m, as IEFP has it 0.35. At s 64 a cosine of 0.5 becomes the logit 9.6.

    Raises:
        UsageError: a scale of 0 or less, or a negative margin.
    """

    def __init__(self, scale: float = 64.0, margin: float = 0.35) -> None:
        super().__init__(scale, margin)

    def moved(self, cosines: Tensor) -> Tensor:
        """See `Margin`."""
        return cosines - self.margin
