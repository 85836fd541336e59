"""A store's chips to the size that a network was trained at, inside the exported graph."""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from agelens.data.training_input.chip_transform import ChipTransform

_BYTE: Final = 255.0
_WEIGHT_BITS: Final = 15
_MOST_BITS: Final = 22


class ChipFitting(nn.Module):
    """Normalised chips [N, 3, S, S] resized and cropped as `ChipTransform` does it to bytes.

    Where nothing is to be resized or cropped, chips pass through.

    Args:
        chip_size: S.
        transform: what the network saw its chips through.
    """

    def __init__(self, chip_size: int, transform: ChipTransform) -> None:
        super().__init__()
        # As torchvision's center_crop rounds, which a trace cannot follow.
        start = round((transform.resized - transform.size) / 2)
        self.kept = None if transform.resized == transform.size else (start, start + transform.size)
        self.resize = (
            None if chip_size == transform.resized else ByteResize(chip_size, transform.resized)
        )
        for name in ("mean", "std"):
            numbers = torch.tensor(getattr(transform, name)) * _BYTE
            self.register_buffer(name, numbers[:, None, None])

    mean: Tensor
    std: Tensor

    def forward(self, pixels: Tensor) -> Tensor:
        """The network's input [N, 3, size, size]."""
        if self.resize is not None:
            pixels = (self.resize((pixels * self.std + self.mean).round()) - self.mean) / self.std
        if self.kept is not None:
            kept = slice(*self.kept)
            pixels = pixels[..., kept, kept]
        return pixels


class ByteResize(nn.Module):
    """Chips of whole numbers 0 to 255, resized to the number as torch resizes bytes.

    Torch goes along rows and then along columns, rounds after each, and has its weights in
    fixed point with 15 bits. With plain bilinear weights pixels differ by up to two steps,
    and ages of a sensitive network by tenths of a year.

    Args:
        side: of the chips that come in, in pixels.
        wanted: of those that go out.
    """

    def __init__(self, side: int, wanted: int) -> None:
        super().__init__()
        # What each pixel of a row gives to each of the wanted ones, [side, wanted].
        shares = interpolate(
            torch.eye(side, dtype=torch.float64)[None, None],
            (side, wanted),
            mode="bilinear",
            antialias=True,
        )[0, 0]
        bits = next(
            bits
            for bits in range(_MOST_BITS + 1)
            if bits == _MOST_BITS or int(0.5 + shares.max() * 2 ** (bits + 1)) >= 2**_WEIGHT_BITS
        )
        weights = (shares * 2**bits + 0.5).floor().float()
        self.one = float(2**bits)
        self.register_buffer("along_rows", weights)
        self.register_buffer("along_columns", weights.T.contiguous())

    along_rows: Tensor
    along_columns: Tensor

    def forward(self, values: Tensor) -> Tensor:
        """Whole numbers [N, 3, wanted, wanted] of whole numbers [N, 3, side, side]."""
        # Sums stay below 2**24, up to which single precision has every whole number.
        values = self._rounded(values @ self.along_rows)
        return self._rounded(self.along_columns @ values)

    def _rounded(self, sums: Tensor) -> Tensor:
        return (sums / self.one + 0.5).floor().clamp(0.0, _BYTE)
