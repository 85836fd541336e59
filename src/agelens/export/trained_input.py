"""What a trained network's chips were and what was done to them, for its card and its graph."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final, TypeAlias, cast

from agelens.data.training_input.chip_transform import ChipTransform
from agelens.inference.cards import ChipInput

Numbers3: TypeAlias = tuple[float, float, float]

_BYTE: Final = 255.0


@dataclass(frozen=True, slots=True, eq=False)
class TrainedInput:
    """How a network saw faces when it was validated.

    Args:
        settings: of the store that held the chips; see `StoreSettings`.
        transform: chips to the network's input, without chance.
    """

    settings: Mapping[str, Any]
    transform: ChipTransform

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
        alignment = self.settings["alignment"]
        # Only similarity has a template; the other ways are named in its place.
        template = self.settings["template"] if alignment == "similarity" else alignment
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
            margin=float(self.settings["margin"]),
        )

    def to_json(self) -> dict[str, Any]:
        """The card's section ``input``, with what only people read."""
        return asdict(self.chip_input) | {
            "detector": self.settings["detector"],
            "resized_inside_to": self.transform.resized,
            "cropped_inside_to": self.transform.size,
        }
