"""How the exported network is compared with the trained one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from agelens.errors import ExportError
from agelens.export.bundle import Parity, measure_parity, require_parity
from agelens.export.export_network import TrainedInput
from agelens.inference.answers import read_answers
from agelens.models.age_model import AgeModel
from agelens.records import RGB, Floats

Labelled = Callable[..., list[tuple[RGB, Floats]]]


class Exported:
    """In place of a `ChipNetwork`: the trained model's own answers, changed."""

    def __init__(
        self, model: AgeModel, seen: TrainedInput, change: Callable[[Floats], Floats]
    ) -> None:
        self.model, self.seen, self.change = model, seen, change

    def answers(self, chips: RGB) -> Floats:
        with torch.no_grad():
            pixels = self.seen.transform(torch.from_numpy(chips).permute(0, 3, 1, 2))
            return self.change(self.model.answer(pixels).double().numpy())

    def read(self, answers: Floats) -> Any:
        return read_answers(answers, self.model.method.spec)


def measured(
    model: AgeModel, seen: TrainedInput, chips: Any, change: Callable[[Floats], Floats]
) -> Parity:
    exported: Any = Exported(model, seen, change)
    return measure_parity(model, seen.transform, exported, chips)


def test_the_same_answers_are_no_way_apart(
    small_model: Callable[..., AgeModel], seen: Callable[..., TrainedInput], labelled: Labelled
) -> None:
    found = measured(small_model(), seen(), labelled(), lambda answers: answers)
    assert found.chips == 15
    years = (found.largest_years, found.mean_years, found.mae_change_years)
    assert years == pytest.approx((0, 0, 0), abs=1e-5)


def test_a_model_in_training_form_is_compared_in_evaluation_form(
    small_model: Callable[..., AgeModel], seen: Callable[..., TrainedInput], labelled: Labelled
) -> None:
    model = small_model().train()
    exported: Any = Exported(small_model(), seen(), lambda answers: answers)
    found = measure_parity(model, seen().transform, exported, labelled())
    assert model.training
    assert found.largest_years < 1e-5


def test_differences_and_errors_are_over_all_chips(
    small_model: Callable[..., AgeModel], seen: Callable[..., TrainedInput], labelled: Labelled
) -> None:
    model = small_model("gaussian")
    before: list[Floats] = []

    def older(answers: Floats) -> Floats:
        before.append(answers[:, 0].copy())
        shift = np.linspace(0.1, 0.5, len(answers))
        return np.column_stack([answers[:, 0] + shift, answers[:, 1]])

    chips = labelled()
    found = measured(model, seen(), chips, older)
    shifted = np.tile(np.linspace(0.1, 0.5, 5), 3)
    years = model.method.scale.years
    trained = np.concatenate(before)
    truth = np.concatenate([ages for _, ages in chips])
    ages = [np.clip(trained + by, years[0], years[-1]) for by in (0, shifted)]
    assert found.largest_years == pytest.approx(np.abs(ages[1] - ages[0]).max())
    assert found.mean_years == pytest.approx(np.abs(ages[1] - ages[0]).mean())
    change = np.abs(ages[1] - truth).mean() - np.abs(ages[0] - truth).mean()
    assert found.mae_change_years == pytest.approx(change)


def test_a_rank_that_jumps_by_a_rounding_is_not_a_year_apart(
    small_model: Callable[..., AgeModel], seen: Callable[..., TrainedInput], labelled: Labelled
) -> None:
    model = small_model("coral")
    bias = model.head.bias  # type: ignore[union-attr]
    with torch.no_grad():
        model.head.score.weight.zero_()  # type: ignore[union-attr, operator]
        bias.copy_(torch.linspace(6, -6, 30))  # type: ignore[operator, arg-type]
        bias[12] = 1e-7  # type: ignore[index, operator]
    found = measured(model, seen(), labelled(), lambda answers: answers - 2e-7)
    ages = read_answers(bias.double().detach().numpy()[None], model.method.spec)  # type: ignore[operator, union-attr]
    moved = read_answers(bias.double().detach().numpy()[None] - 2e-7, model.method.spec)  # type: ignore[operator, union-attr]
    assert abs(ages.estimate_years - moved.estimate_years) == 1
    assert found.largest_years < 1e-5


def test_no_chips_prove_nothing(
    small_model: Callable[..., AgeModel], seen: Callable[..., TrainedInput]
) -> None:
    with pytest.raises(ExportError, match="no chips to compare"):
        measured(small_model(), seen(), [], lambda answers: answers)


def test_a_trained_network_that_answers_nan_is_told(
    small_model: Callable[..., AgeModel], seen: Callable[..., TrainedInput], labelled: Labelled
) -> None:
    model = small_model()
    exported: Any = Exported(small_model(), seen(), lambda answers: answers)
    with torch.no_grad():
        model.head.bias[0] = torch.nan  # type: ignore[union-attr, index, operator]
    with pytest.raises(ExportError, match="trained network's own answers cannot be read"):
        measure_parity(model, seen().transform, exported, labelled())


@pytest.mark.parametrize(("largest", "fine"), [(0.05, True), (0.0501, False), (3.0, False)])
def test_five_hundredths_of_a_year_are_the_limit(largest: float, fine: bool) -> None:
    parity = Parity(256, largest, 0.01, 0.0)
    if fine:
        require_parity(parity, "mine")
        return
    with pytest.raises(ExportError, match=r"mine: on 256 chips.*0\.05; nothing was written"):
        require_parity(parity, "mine")


@pytest.mark.parametrize(("half", "way"), [(True, "without --half"), (False, "other --format")])
def test_the_way_out_is_named(half: bool, way: str) -> None:
    with pytest.raises(ExportError, match=way):
        require_parity(Parity(9, 1.0, 0.5, 0.0), "mine", half=half)


def test_a_card_gets_plain_numbers() -> None:
    assert Parity(3, 0.0123456, 0.001, -0.2).to_json() == {
        "chips": 3,
        "largest_years": 0.01235,
        "mean_years": 0.001,
        "mae_change_years": -0.2,
    }
