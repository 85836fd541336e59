"""What a network asks of its data, and how chips become its input."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

from torch import nn

from agelens.ages import AgeScale
from agelens.data.training_input.geometry import ChipTransform
from agelens.data.training_input.presets import Preset

Numbers3: TypeAlias = tuple[float, float, float]
Words: TypeAlias = dict[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class NetworkInput:
    """What a network asks of its data.

    `size` in pixels, `mean` and `std` of pixels from 0 to 1 as its starting weights expect
    them; the age `scale` of the method; `words`: columns that auxiliary heads learn, each
    with its vocabulary, or an empty one where the train part is to tell.
    """

    size: int
    mean: Numbers3
    std: Numbers3
    scale: AgeScale
    words: Words


def input_transform(
    network: NetworkInput, preset: Preset, *, steps: Sequence[nn.Module] | None
) -> ChipTransform:
    """Chips to the input of `network`, sized and cropped as `preset` has it.

    Args:
        network: asks for size, mean and deviation, which are not the preset's.
        preset: how much larger chips are before they are cropped.
        steps: of augmentation, with a random crop; None for evaluation.

    Raises:
        UsageError: a size that no input has.
    """
    training = steps is not None
    form = preset.for_training if training else preset.for_evaluation
    enlarge = preset.enlarge_train if training else preset.enlarge_eval
    return ChipTransform(
        form(network.size).size,
        steps=steps or (),
        enlarge=enlarge,
        random_crop=training and enlarge > 1,
        mean=network.mean,
        std=network.std,
    )
