"""A chip store as a torch dataset that decodes and augments a batch, and presets of how.

Presets are the input recipes of published systems. Where a number is not the system's own,
`Preset.differs` says so. All resize before they augment, since chips come cut; the systems that
augment the crop at its own size get nearly the same pixels for a fraction of the work.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple, TypeAlias

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.data import Dataset

from agelens.ages import AgeScale
from agelens.data.store.chip_store import ChipStore
from agelens.data.training_input import colour, geometry
from agelens.data.training_input.geometry import IMAGENET_MEAN, IMAGENET_STD, ChipTransform
from agelens.errors import TableError, UnknownNameError, UsageError
from agelens.tables import YEARS, SampleTable

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


CODED: Final = ("age_kind", "gender", "ethnicity", "subject", "dataset")
UNKNOWN: Final = -1


class ChipBatch(NamedTuple):
    """Chips with their labels.

    `images` [B, 3, S, S]: uint8 as stored, or float32 after a transform. `labels` by column,
    [B] each: years as float32, NaN where unknown; words as int64 places in
    `ChipDataset.classes`, -1 where unknown. `rows` int64 [B] are rows of the store. A single
    sample lacks the first axis.
    """

    images: Tensor
    labels: dict[str, Tensor]
    rows: Tensor


class ChipDataset(Dataset[ChipBatch]):
    """The rows of a store that a network can learn from.

    Left out, and counted in `left_out`: rows without a chip; rows whose label has an
    `issue`, unless `flagged`; and, where `age_years` is among the labels, rows without one.

    A batch's chances hang on `seed`, the epoch, and the batch's rows alone, so they are the
    same whatever the number of workers. Call `set_epoch` before each epoch.

    Args:
        store: where the chips are.
        table: rows of the store to take, by `sample_id`, in this order, with the labels of
            this table; all rows with the store's own labels by default.
        labels: columns: years (`age_years`, `age_std`, `age_low`, `age_high`) or words
            (`age_kind`, `gender`, `ethnicity`, `subject`, `dataset`).
        transform: applied to whole batches; None leaves uint8 chips.
        seed: of the transform's chances.
        flagged: also take rows whose label has an issue.

    Raises:
        UnknownNameError: another column.
        TableError: a sample of `table` is not in the store, or no row is left.
    """

    def __init__(
        self,
        store: ChipStore,
        *,
        table: SampleTable | None = None,
        labels: Sequence[str] = ("age_years",),
        transform: ChipTransform | None = None,
        seed: int = 0,
        flagged: bool = False,
    ) -> None:
        self.store = store
        self.transform = transform
        self.seed = seed
        frame = (store.table if table is None else table).frame
        rows = np.arange(len(store)) if table is None else _rows_of(store, frame)
        left_out = _left_out(store, frame, rows, labels, flagged)
        self.left_out = dict(Counter(reason for reason in left_out if reason))
        taken = np.array([not reason for reason in left_out], dtype=bool)
        if not taken.any():
            raise TableError(f"no row of {store.folder} to learn from: {self.left_out}")
        self.rows: NDArray[np.int64] = rows[taken]
        self.labels: dict[str, Tensor] = {}
        self.classes: dict[str, tuple[str, ...]] = {}
        for name in labels:
            self._add_label(name, frame.loc[taken, name])
        # In shared memory, so that workers that outlive an epoch see the next one's number.
        self._epoch = torch.zeros((), dtype=torch.int64)
        self._epoch.share_memory_()  # type: ignore[no-untyped-call]

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> ChipBatch:
        """One sample: a batch of one without its first axis."""
        batch = self.__getitems__([index])
        labels = {name: values[0] for name, values in batch.labels.items()}
        return ChipBatch(batch.images[0], labels, batch.rows[0])

    def __getitems__(self, indices: Sequence[int]) -> ChipBatch:
        """The samples at `indices` as one batch; `DataLoader` calls this by itself."""
        chosen = torch.as_tensor(indices, dtype=torch.int64)
        rows = torch.from_numpy(self.rows)[chosen]
        images = self._chips(rows.tolist())
        if self.transform is not None:
            images = self.transform(images, self._generator(rows))
        labels = {name: values[chosen] for name, values in self.labels.items()}
        return ChipBatch(images, labels, rows)

    def set_epoch(self, epoch: int) -> None:
        """Give the transform new chances; an epoch's number always gives the same ones."""
        self._epoch.fill_(epoch)

    def _chips(self, rows: Sequence[int]) -> Tensor:
        size = self.store.size
        chips = np.empty((len(rows), size, size, 3), dtype=np.uint8)
        for row, chip in zip(rows, chips, strict=True):
            self.store.decode_into(row, chip)
        return torch.from_numpy(chips).permute(0, 3, 1, 2)

    def _generator(self, rows: Tensor) -> torch.Generator:
        entropy = [self.seed, int(self._epoch), *rows.tolist()]
        seed = np.random.SeedSequence(entropy).generate_state(1, np.uint64)[0]
        return torch.Generator().manual_seed(int(seed >> np.uint64(1)))

    def _add_label(self, name: str, values: pd.Series) -> None:
        if name in YEARS:
            self.labels[name] = torch.from_numpy(values.to_numpy(dtype=np.float32))
            return
        self.classes[name] = tuple(values.cat.categories)
        self.labels[name] = torch.from_numpy(values.cat.codes.to_numpy(dtype=np.int64))


def _rows_of(store: ChipStore, frame: pd.DataFrame) -> NDArray[np.int64]:
    """Rows of the store that hold the samples of `frame`."""
    held = pd.Index(store.table.frame["sample_id"])
    rows = np.asarray(held.get_indexer(pd.Index(frame["sample_id"])), dtype=np.int64)
    if (rows < 0).any():
        first = frame["sample_id"].iloc[int(np.argmax(rows < 0))]
        raise TableError(
            f"{(rows < 0).sum()} samples of the table are not in {store.folder}, first {first!r}; "
            "prepare a store from a table that has them"
        )
    return rows


def _left_out(
    store: ChipStore,
    frame: pd.DataFrame,
    rows: NDArray[np.int64],
    labels: Sequence[str],
    flagged: bool,
) -> NDArray[np.object_]:
    """Why each row is left out, or "" where it is taken."""
    unknown = [name for name in labels if name not in (*YEARS, *CODED)]
    if unknown:
        raise UnknownNameError("label", unknown[0], (*YEARS, *CODED))
    reasons = np.full(len(rows), "", dtype=object)
    if "age_years" in labels:
        reasons[frame["age_years"].isna().to_numpy()] = "no age_years"
    if not flagged:
        reasons[frame["issue"].notna().to_numpy()] = "label has an issue"
    reasons[~store.has_chip[rows]] = "no chip"
    return reasons
