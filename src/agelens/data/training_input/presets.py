"""The input recipes of published systems, by name.

Where a number is not the system's own, `Preset.differs` says so. All resize before they
augment, since chips come cut; the systems that augment the crop at its own size get nearly
the same pixels for a fraction of the work.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from torch import nn

from agelens.data.training_input import colour, geometry
from agelens.data.training_input.geometry import IMAGENET_MEAN, IMAGENET_STD, ChipTransform
from agelens.errors import UnknownNameError, UsageError

AUGMENTATIONS: Final[dict[str, str]] = {
    "RandomHorizontalFlip": "agelens.data.training_input.geometry:RandomHorizontalFlip",
    "RandomVerticalFlip": "agelens.data.training_input.geometry:RandomVerticalFlip",
    "RandomRotation": "agelens.data.training_input.geometry:RandomRotation",
    "RandomZoom": "agelens.data.training_input.geometry:RandomZoom",
    "RandomSimilarity": "agelens.data.training_input.geometry:RandomSimilarity",
    "RandomErasing": "agelens.data.training_input.geometry:RandomErasing",
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


SMALLEST, LARGEST = 32, 1024
_HALF: Final = (0.5, 0.5, 0.5)
_NONE: Final = ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0))


@dataclass(frozen=True, slots=True)
class Preset:
    """One system's recipe, in a form for training and one for evaluation.

    `source` says whose it is and where it was read; `differs` what is our choice. `size` is
    the system's input size. `enlarge_train` and `enlarge_eval` are the side before cropping
    over the side after; training crops at random, evaluation at the centre.
    """

    name: str
    source: str
    differs: str
    size: int
    augment: Callable[[], tuple[nn.Module, ...]]
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD
    enlarge_train: float = 1.0
    enlarge_eval: float = 1.0

    def for_training(self, size: int | None = None) -> ChipTransform:
        """The augmenting form, for `size` pixels (the system's own by default).

        Raises:
            UsageError: a size below 32 or above 1024.
        """
        return ChipTransform(
            self._checked(size),
            steps=self.augment(),
            enlarge=self.enlarge_train,
            random_crop=self.enlarge_train > 1,
            mean=self.mean,
            std=self.std,
        )

    def for_evaluation(self, size: int | None = None) -> ChipTransform:
        """The form without chance; raises as `for_training` does."""
        return ChipTransform(
            self._checked(size), enlarge=self.enlarge_eval, mean=self.mean, std=self.std
        )

    def _checked(self, size: int | None) -> int:
        if size is not None and not SMALLEST <= size <= LARGEST:
            raise UsageError(f"input sizes are {SMALLEST} to {LARGEST} pixels, got {size}")
        return size or self.size


def preset_named(name: str) -> Preset:
    """The preset called `name`.

    Raises:
        UnknownNameError: no preset has that name; the message lists those that exist.
    """
    if name not in PRESETS:
        raise UnknownNameError("input preset", name, PRESETS)
    return PRESETS[name]


PRESETS: Final[dict[str, Preset]] = {
    preset.name: preset
    for preset in (
        Preset(
            "rapl",
            "Relative Age Position Learning (Amirullaeva and Han, IEEE Access 2024), data_loader",
            "nothing; its sharpness of 0.2 is a factor, near a full blur, on half of the samples",
            112,
            lambda: (
                colour.RandomGrey(0.1),
                geometry.RandomHorizontalFlip(0.2),
                geometry.RandomRotation(30),
                colour.RandomSharpness(0.2, p=0.5),
                geometry.RandomVerticalFlip(0.2),
            ),
        ),
        Preset(
            "ldl",
            "the label-distribution system yjl450/age-estimation-ldl-pytorch, dataset.py",
            "limits are the defaults of the library it calls: hue 40 degrees, saturation 30 and "
            "value 20 of 255, gamma 0.8 to 1.2, brightness and contrast 0.2",
            224,
            lambda: (
                geometry.RandomHorizontalFlip(0.3),
                colour.RandomHueSaturationValue(40, 30 / 255, 20 / 255, p=0.3),
                colour.RandomGamma(0.8, 1.2, p=0.3),
                colour.RandomBrightnessContrast(0.2, 0.2, p=0.3),
            ),
        ),
        Preset(
            "dldl-v2",
            "DLDL-v2 (Gao et al., IJCAI 2018), datasets/chalearn15.lua",
            "its random rescaling of pictures between 112 and 224 is left out; mean and deviation "
            "are its ChaLearn 2016 ones; its 30 degrees of rotation span 15 either way",
            224,
            lambda: (
                geometry.RandomHorizontalFlip(0.5),
                colour.RandomGrey(0.5),
                geometry.RandomRotation(15, sampling="bilinear"),
                colour.RandomColourJitter(0.4, 0.4, 0.4),
            ),
            mean=(0.5958, 0.4637, 0.4065),
            std=(0.2693, 0.2409, 0.2352),
            enlarge_eval=256 / 224,
        ),
        Preset(
            "iefp",
            "IEFP (Xie, Pun and Lam, TIFS 2022), train.py",
            "nothing",
            112,
            lambda: (geometry.RandomHorizontalFlip(0.5),),
            mean=_HALF,
            std=_HALF,
        ),
        Preset(
            "coral",
            "CORAL (Cao et al., PRL 2020), cacd-coral.py: 128 pixels, cropped to 120",
            "nothing; values stay 0 to 1",
            120,
            tuple,
            *_NONE,
            enlarge_train=128 / 120,
            enlarge_eval=128 / 120,
        ),
        Preset(
            "coral-tf",
            "CORAL in TensorFlow 2, its README: 197 pixels",
            "values 0 to 1, as CORAL's own code has them",
            197,
            tuple,
            *_NONE,
        ),
        Preset(
            "guide",
            "the common guide to regression on UTKFace, config.py and its transforms: 128 pixels",
            "nothing; brightness and saturation 0.5 to 1.5, contrast 0 to 2, hue 0.1",
            128,
            lambda: (
                geometry.RandomHorizontalFlip(0.5),
                geometry.RandomRotation(15),
                colour.RandomColourJitter(0.5, 1.0, 0.5, 0.1),
            ),
        ),
        Preset(
            "regression",
            "our own, after the common guide: flip, rotation 15, colour jitter, ImageNet",
            "all but those words: 224 pixels, a jitter of 0.2 (hue 0.05); `guide` is the guide's",
            224,
            lambda: (
                geometry.RandomHorizontalFlip(0.5),
                geometry.RandomRotation(15),
                colour.RandomColourJitter(0.2, 0.2, 0.2, 0.05),
            ),
        ),
        Preset(
            "unified",
            "the unified benchmark (Paplham and Franc, CVPR 2024): 256 pixels, flip, crop of "
            "80 to 100 %",
            "80 to 100 % is taken of the side; a flip of one half; ImageNet's mean and deviation",
            256,
            lambda: (geometry.RandomHorizontalFlip(0.5), geometry.RandomZoom(0.8)),
        ),
    )
}
