"""Several networks as one: means of distributions and of genders."""

from __future__ import annotations

import pytest
import torch

from agelens.errors import UsageError
from agelens.models.age_model import AgeModel
from agelens.models.auxiliary import AuxiliaryTask, ParallelHeads
from agelens.models.backbones.mobilenet_face import MobileNetFace
from agelens.models.mean_model import MeanModel
from agelens.models.methods import method_class

GENDERS = ("female", "male")


def model(seed: int, *, method: str = "dldl-v2", words: tuple[str, ...] = GENDERS) -> AgeModel:
    torch.manual_seed(seed)
    tasks = [AuxiliaryTask("gender", words)] if words else []
    heads = ParallelHeads(tasks, 256, 256) if tasks else None
    return AgeModel(MobileNetFace(32), method_class(method)("0-9"), heads).eval()


def test_the_answer_is_the_mean_of_the_answers() -> None:
    members = [model(seed) for seed in (1, 2, 3)]
    chips = torch.randn(2, 3, 32, 32)
    with torch.inference_mode():
        mean = MeanModel(members)
        told = mean.whole_answer(chips)
        apart = [member.answer(chips) for member in members]
        torch.testing.assert_close(mean.answer(chips), sum(apart) / 3)
    assert mean.told == {"gender": GENDERS}
    torch.testing.assert_close(told[:, :10], sum(apart) / 3)
    torch.testing.assert_close(told[:, 10:].sum(1), torch.ones(2))


def test_genders_are_those_of_its_auxiliary_head() -> None:
    one = model(1)
    chips = torch.randn(2, 3, 32, 32)
    with torch.inference_mode():
        outputs = one(chips)
        told = one.whole_answer(chips)
    torch.testing.assert_close(told[:, 10:], outputs.auxiliary["gender"].softmax(1))
    torch.testing.assert_close(told[:, :10], one.answer(chips))


def test_no_gender_is_told_unless_all_tell_it() -> None:
    mean = MeanModel([model(1), model(2, words=())])
    chips = torch.randn(1, 3, 32, 32)
    assert mean.told == model(1, words=("a", "b")).told == {}
    torch.testing.assert_close(mean.eval().whole_answer(chips), mean.answer(chips))


def test_what_cannot_be_averaged_is_refused() -> None:
    with pytest.raises(UsageError, match="two or more"):
        MeanModel([model(1)])
    with pytest.raises(UsageError, match="ordinal-logits"):
        MeanModel([model(seed, method="coral") for seed in (1, 2)])
