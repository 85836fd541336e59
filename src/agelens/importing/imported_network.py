"""Networks of other systems as `AgeModel`s: their outputs as the answers of our methods."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Final

import torch
from torch import Tensor, nn

from agelens.ages import AgeScale
from agelens.models.age_model import AgeModel, ModelOutputs
from agelens.models.methods.base import AgeMethod


class ImportedNetwork(AgeModel):
    """Another system's network, whose outputs are cut into an age and what it tells beside it.

    Args:
        network: chips [B, 3, S, S] to numbers [B, W].
        method: reads what `age` makes.
        age: from the columns `age_columns` of those numbers to outputs of `method`.
        age_columns: a slice of the W.
        told: gender, then other columns of sample tables: the words of their classes, and a slice.
    """

    def __init__(
        self,
        network: nn.Module,
        method: AgeMethod,
        age: nn.Module,
        age_columns: slice,
        told: Mapping[str, tuple[tuple[str, ...], slice]] | None = None,
    ) -> None:
        nn.Module.__init__(self)
        self.network, self.method, self.age = network, method, age
        self.head = nn.Identity()
        self._age_columns, self._told = age_columns, dict(told or {})

    @property
    def told(self) -> dict[str, tuple[str, ...]]:
        """See `AgeModel.told`."""
        return {column: words for column, (words, _) in self._told.items()}

    def forward(self, images: Tensor) -> ModelOutputs:
        """Outputs for the age, and logits by column."""
        numbers = self.network(images)
        told = {column: numbers[:, place] for column, (_, place) in self._told.items()}
        return ModelOutputs(self.age(numbers[:, self._age_columns]), told)


SPREAD_YEARS: Final = 15.0
NO_SPREAD: Final = (
    f"The file holds no spread: every answer's is {SPREAD_YEARS:g} years, until the model is "
    "calibrated (agelens calibrate)."
)


class YearsWithSpread(nn.Module):
    """One number [B, 1] to an age and a spread [B, 2] in years.

    Args:
        unit_years: years in one unit of the number.
        start_years: the age at 0.
    """

    def __init__(self, unit_years: float = 1.0, start_years: float = 0.0) -> None:
        super().__init__()
        self.unit_years, self.start_years = unit_years, start_years

    def forward(self, number: Tensor) -> Tensor:
        """Age and spread."""
        age = number * self.unit_years + self.start_years
        return torch.cat([age, torch.full_like(age, SPREAD_YEARS)], dim=1)


class AgeBands(nn.Module):
    """Logits of bands of ages [B, M] to logits of single years [B, K].

    A band's probability is spread evenly over its years, so that bands become a distribution with
    a mean and quantiles. Softmax of the result is that distribution: each year has its band's
    logit less the logarithm of the band's width.

    Args:
        first_years: of the M bands, ascending.
        last_years: of the last; an open band is taken to be as wide as the one before it.
    """

    place: Tensor
    log_width: Tensor

    def __init__(self, first_years: Sequence[int], last_years: int | None = None) -> None:
        super().__init__()
        last = 2 * first_years[-1] - first_years[-2] - 1 if last_years is None else last_years
        self.scale = AgeScale.yearly(first_years[0], last)
        widths = [after - first for first, after in pairwise([*first_years, last + 1])]
        place = torch.tensor([band for band, width in enumerate(widths) for _ in range(width)])
        self.register_buffer("place", place, persistent=False)
        logs = torch.tensor([math.log(width) for width in widths])[place]
        self.register_buffer("log_width", logs, persistent=False)
        self.note = (
            f"It tells {len(widths)} bands of ages, whose probabilities are spread evenly over "
            f"their years; the last band is read as {first_years[-1]} to {last}."
        )

    def forward(self, bands: Tensor) -> Tensor:
        """Logits of years."""
        return bands[:, self.place] - self.log_width


def band_starts(labels: Sequence[str]) -> list[int] | None:
    """The first year of each band, of labels such as ``3-9``, ``70+``, ``more than 70``.

    None where a label holds no number, or the bands are not in order.
    """
    numbers = [re.search(r"\d+", label) for label in labels]
    starts = [int(found[0]) for found in numbers if found]
    ordered = all(first < second for first, second in pairwise(starts))
    return starts if len(starts) == len(labels) >= 2 and ordered else None
