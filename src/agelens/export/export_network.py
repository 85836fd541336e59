"""The network that is exported: chips in, the method's answer out, nothing else."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final, Protocol, TypeAlias, cast

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from agelens.data.training_input.geometry import ChipTransform
from agelens.errors import UsageError
from agelens.imaging.align import Fill, template_named
from agelens.imaging.aligned_chips import AS_SHIPPED
from agelens.inference.cards import ChipInput
from agelens.models.age_model import AgeModel
from agelens.models.backbones import flush_subnormals
from agelens.models.mean_model import MeanModel

Numbers3: TypeAlias = tuple[float, float, float]

_BYTE: Final = 255.0


@dataclass(frozen=True, slots=True, eq=False)
class TrainedInput:
    """How a network saw faces when it was validated.

    Args:
        settings: of the store that held the chips; see `StoreSettings`.
        transform: chips to the network's input, without chance.
        frame: template and margin that photos are to be cut by, where the chips were aligned by
            their owner and somebody knows which frame they show.

    Raises:
        UsageError: a frame for chips that were cut here, and so say themselves how.
        UnknownNameError: no such template.
    """

    settings: Mapping[str, Any]
    transform: ChipTransform
    frame: tuple[str, float] | None = None

    def __post_init__(self) -> None:
        if self.frame is None:
            return
        template_named(self.frame[0])
        if self.settings["alignment"] != AS_SHIPPED:
            raise UsageError(
                f"the chips that this run was trained on were cut by {self.settings['alignment']}, "
                "and photos are cut alike: leave out the template"
            )

    @property
    def chip_size(self) -> int:
        """Side in pixels of the store's chips, which are what the exported network takes."""
        return int(self.settings["size"])

    @property
    def chip_input(self) -> ChipInput:
        """Chips as the store has them, as a card states them.

        A store's chips that are not of the network's own size are resized inside the exported
        graph, since the same photo cut at another size is another picture.
        """
        alignment, margin = self.settings["alignment"], float(self.settings["margin"])
        # Only similarity has a template; the other ways are named in its place.
        template = self.settings["template"] if alignment == "similarity" else alignment
        if self.frame is not None:
            alignment, (template, margin) = "similarity", self.frame
        mean, std = (
            tuple(value * _BYTE for value in numbers)
            for numbers in (self.transform.mean, self.transform.std)
        )
        return ChipInput(
            size=self.chip_size,
            color_order="RGB",
            mean=cast(Numbers3, mean),
            std=cast(Numbers3, std),
            alignment=alignment,
            template=str(template),
            margin=margin,
            fill=cast(Fill, self.settings.get("fill", "black")),
        )

    def to_json(self) -> dict[str, Any]:
        """The card's section ``input``, with what only people read."""
        stated = {} if self.frame is None else {"chips": self.settings["alignment"]}
        return (
            asdict(self.chip_input)
            | stated
            | {
                "detector": self.settings["detector"],
                "resized_inside_to": self.transform.resized,
                "cropped_inside_to": self.transform.size,
            }
        )


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


FITTING: Final = "fitting."
"""Names of weights that resize chips begin so: whole numbers, of which none may be rounded."""


CHIPS: Final = "chips"
"""What exported files call their input."""
_ANSWER: Final = "answer"


def output_names(told: Iterable[str]) -> tuple[str, ...]:
    """What exported files call their outputs: ``answer`` of the age, then the columns `told`."""
    columns = (f"{column}_told" if column in (CHIPS, _ANSWER) else column for column in told)
    return (_ANSWER, *columns)


class Exportable(Protocol):
    """A network that can be exported: `AgeModel`, and the branches of `agelens.recognition`."""

    def answer(self, images: Tensor, /) -> Tensor:
        """What the exported network answers [N, width] to its input [N, 3, S, S]."""

    def clear_training_features(self) -> None:
        """Let go of features of training faces, which are nobody's to share."""


class ExportNetwork(nn.Module):
    """Normalised chips float32 [N, 3, S, S] to answers float32, one a name in `outputs`.

    The first is for the age [N, width]; the probabilities [N, words] of each column that the
    model tells beside it follow, in the order of `AgeModel.told`.

    A copy of the model in evaluation form on the CPU; the model itself is left as it is.
    Subnormal weights, which slow processors down, become zero, and so do features of training
    faces, which are nobody's to share.

    Args:
        model: a trained one.
        trained_input: how it saw chips.
    """

    def __init__(self, model: Exportable, trained_input: TrainedInput) -> None:
        super().__init__()
        told = model.told if isinstance(model, AgeModel | MeanModel) else {}
        self.outputs = output_names(told)
        self.model = copy.deepcopy(cast(Any, model)).cpu().float().requires_grad_(False)
        self.chip_size = trained_input.chip_size
        self.fitting = ChipFitting(self.chip_size, trained_input.transform)
        self.model.clear_training_features()
        self.eval()
        flush_subnormals(self.model)

    def forward(self, pixels: Tensor) -> Tensor | tuple[Tensor, ...]:
        """One answer as a tensor, several as a tuple."""
        chips = self.fitting(pixels)
        if len(self.outputs) == 1:
            answer: Tensor = self.model.answer(chips)
            return answer.float()
        return tuple(each.float() for each in self.model.answers(chips))

    def example(self) -> Tensor:
        """Two chips of noise: a trace keeps its example in the file, so it shows nobody."""
        shape = (2, 3, self.chip_size, self.chip_size)
        return torch.randn(shape, generator=torch.Generator().manual_seed(0))
