"""From a chip store to batches for a network; torch is needed from here on."""

from agelens.data.training_input.age_weights import (
    AGE_WEIGHTS,
    class_balanced_weights,
    lds_weights,
    uniform_weights,
    weights_within,
)
from agelens.data.training_input.chip_dataset import (
    AUGMENTATIONS,
    PRESETS,
    ChipBatch,
    ChipDataset,
    Preset,
    preset_named,
)

__all__ = [
    "AGE_WEIGHTS",
    "AUGMENTATIONS",
    "PRESETS",
    "ChipBatch",
    "ChipDataset",
    "Preset",
    "class_balanced_weights",
    "lds_weights",
    "preset_named",
    "uniform_weights",
    "weights_within",
]
