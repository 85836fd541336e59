"""Does the exported network answer as the trained one does? Asked with real chips."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import numpy as np
import torch

from agelens.data.training_input.geometry import ChipTransform
from agelens.errors import ExportError
from agelens.inference.answers import Answers, read_answers
from agelens.inference.network import ChipNetwork
from agelens.models.age_model import AgeModel
from agelens.models.mean_model import MeanModel
from agelens.records import RGB, Floats

TOLERANCE_YEARS: Final = 0.05
_DIGITS: Final = 5

LabelledChips: TypeAlias = Iterable[tuple[RGB, Floats]]
"""Batches of chips uint8 [N, S, S, 3] as a store has them, with ages in years [N]."""


@dataclass(frozen=True, slots=True)
class Parity:
    """How far the exported network's ages are from the trained one's, over `chips` chips.

    `largest_years` and `mean_years` are absolute differences of expected ages: a rank or the
    likeliest age may jump a whole year by a rounding. `mae_change_years` is the mean absolute
    error of the exported network less that of the trained one, of the ages that the card names.
    """

    chips: int
    largest_years: float
    mean_years: float
    mae_change_years: float

    def to_json(self) -> dict[str, Any]:
        """For the card."""
        years = ("largest_years", "mean_years", "mae_change_years")
        return {"chips": self.chips} | {n: round(getattr(self, n), _DIGITS) for n in years}


def measure_parity(
    model: AgeModel | MeanModel,
    transform: ChipTransform,
    network: ChipNetwork,
    chips: LabelledChips,
) -> Parity:
    """Compare `model`, seeing chips through `transform`, with the exported `network`.

    Raises:
        ExportError: there are no chips, or the model's own answers cannot be read.
        CardError: the exported network's answers are not what its card says.
    """
    differences, changes = [], []
    trained_model = copy.deepcopy(model).eval()
    for batch, age_years in chips:
        trained = _trained_answers(trained_model, transform, batch)
        exported = network.read(network.answers(batch))
        differences.append(np.abs(_smooth(exported) - _smooth(trained)))
        errors = (np.abs(read.estimate_years - age_years) for read in (exported, trained))
        changes.append(next(errors) - next(errors))
    apart = np.concatenate(differences) if differences else np.empty(0)
    if not len(apart):
        raise ExportError("no chips to compare the exported network with the trained one by")
    change = float(np.concatenate(changes).mean())
    return Parity(len(apart), float(apart.max()), float(apart.mean()), change)


def require_parity(parity: Parity, name: str, *, half: bool = False) -> None:
    """Insist on ages within `TOLERANCE_YEARS`; `half` says how the weights lie.

    Raises:
        ExportError: they are further apart.
    """
    if parity.largest_years > TOLERANCE_YEARS:
        way_out = "without --half" if half else "in the other --format, and report this one"
        raise ExportError(
            f"{name}: on {parity.chips} chips the exported network is up to "
            f"{parity.largest_years:.3f} years from the trained one (mean "
            f"{parity.mean_years:.3f}), more than {TOLERANCE_YEARS}; nothing was written. Export "
            f"{way_out}"
        )


@torch.no_grad()
def _trained_answers(model: AgeModel | MeanModel, transform: ChipTransform, chips: RGB) -> Answers:
    pixels = transform(torch.from_numpy(np.ascontiguousarray(chips.transpose(0, 3, 1, 2))))
    answer = model.answer(pixels.to(next(model.parameters()).device))
    try:
        return read_answers(answer.double().cpu().numpy(), model.method.spec)
    except ValueError as error:
        raise ExportError(f"the trained network's own answers cannot be read: {error}") from error


def _smooth(read: Answers) -> Floats:
    """Expected ages [N]."""
    if read.distribution is None:
        return read.estimate_years
    return read.spec.scale.expected(read.distribution)
