"""Each chip by its own light: what a network sees when brightness and contrast tell nothing."""

from __future__ import annotations

from typing import Final

from torch import Tensor, nn

_DEVIATION: Final = 0.5
"""About what photos have under the usual normalisation, mean and deviation 0.5: layers that
stay as they were pre-trained get what they know."""

_LEAST_VARIANCE: Final = 1e-4
"""Below that a chip is one colour, and dividing would only enlarge its noise."""


class StandardisedChips(nn.Module):
    """Chips [B, 3, H, W], each minus its mean and with a deviation of 0.5, over pixels and colours.

    Part of the network, so that an exported one does the same. Prints that faded and photos
    that were exposed differently look alike behind it; colour casts stay.
    """

    def forward(self, chips: Tensor) -> Tensor:
        """The chips standardised, in their shape."""
        centred = chips - chips.mean(dim=(1, 2, 3), keepdim=True)
        variance = centred.square().mean(dim=(1, 2, 3), keepdim=True)
        standard: Tensor = centred * (_DEVIATION * (variance + _LEAST_VARIANCE).rsqrt())
        return standard
