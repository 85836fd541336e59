"""Augmentation steps by the names that configurations use."""

from __future__ import annotations

from typing import Final

AUGMENTATIONS: Final[dict[str, str]] = {
    "RandomHorizontalFlip": "agelens.data.training_input.geometry:RandomHorizontalFlip",
    "RandomVerticalFlip": "agelens.data.training_input.geometry:RandomVerticalFlip",
    "RandomRotation": "agelens.data.training_input.geometry:RandomRotation",
    "RandomZoom": "agelens.data.training_input.geometry:RandomZoom",
    "RandomSimilarity": "agelens.data.training_input.geometry:RandomSimilarity",
    "RandomGrey": "agelens.data.training_input.colour:RandomGrey",
    "RandomSharpness": "agelens.data.training_input.colour:RandomSharpness",
    "RandomGamma": "agelens.data.training_input.colour:RandomGamma",
    "RandomBrightnessContrast": "agelens.data.training_input.colour:RandomBrightnessContrast",
    "RandomHueSaturationValue": "agelens.data.training_input.colour:RandomHueSaturationValue",
    "RandomColourJitter": "agelens.data.training_input.colour:RandomColourJitter",
    "RandomResolution": "agelens.data.training_input.scans:RandomResolution",
    "RandomBlur": "agelens.data.training_input.scans:RandomBlur",
    "RandomTone": "agelens.data.training_input.scans:RandomTone",
    "RandomFadedDyes": "agelens.data.training_input.scans:RandomFadedDyes",
    "RandomFade": "agelens.data.training_input.scans:RandomFade",
    "RandomGrain": "agelens.data.training_input.scans:RandomGrain",
    "RandomJPEG": "agelens.data.training_input.scans:RandomJPEG",
}
"""Import paths, so that one file is all that using one step loads."""
