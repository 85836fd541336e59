"""Several networks as one: means of distributions, of genders, and of weights."""

from __future__ import annotations

import pytest
import torch

from agelens.errors import UsageError
from agelens.models.age_model import AgeModel
from agelens.models.auxiliary import AuxiliaryTask, ParallelHeads
from agelens.models.backbones.mobilenet_face import MobileNetFace
from agelens.models.mean_model import MeanModel, mean_weights
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
        age, gender = mean.answers(chips)
        apart = [member.answer(chips) for member in members]
        torch.testing.assert_close(mean.answer(chips), sum(apart) / 3)
    assert mean.told == {"gender": GENDERS}
    torch.testing.assert_close(age, sum(apart) / 3)
    torch.testing.assert_close(gender.sum(1), torch.ones(2))


def test_genders_are_those_of_its_auxiliary_head() -> None:
    one = model(1)
    chips = torch.randn(2, 3, 32, 32)
    with torch.inference_mode():
        outputs = one(chips)
        age, gender = one.answers(chips)
    torch.testing.assert_close(gender, outputs.auxiliary["gender"].softmax(1))
    torch.testing.assert_close(age, one.answer(chips))


def test_no_gender_is_told_unless_all_tell_it() -> None:
    mean = MeanModel([model(1), model(2, words=())])
    chips = torch.randn(1, 3, 32, 32)
    assert mean.told == model(1, words=("a", "b")).told == {}
    (alone,) = mean.eval().answers(chips)
    torch.testing.assert_close(alone, mean.answer(chips))


def test_what_cannot_be_averaged_is_refused() -> None:
    with pytest.raises(UsageError, match="two or more"):
        MeanModel([model(1)])
    with pytest.raises(UsageError, match="ordinal-logits"):
        MeanModel([model(seed, method="coral") for seed in (1, 2)])


def test_mean_weights_are_those_of_one_network() -> None:
    members = [model(seed) for seed in (1, 2, 3)]
    mean = mean_weights(members)
    states = [member.state_dict() for member in members]
    for name, value in mean.state_dict().items():
        expected = sum(state[name] for state in states) / 3
        torch.testing.assert_close(
            value, expected if value.is_floating_point() else states[0][name]
        )
    chips = torch.randn(2, 3, 32, 32)
    with torch.inference_mode():
        assert not torch.equal(mean.answer(chips), members[0].answer(chips))
        torch.testing.assert_close(
            mean_weights([members[0]] * 2).answer(chips), members[0].answer(chips)
        )
    assert all(
        torch.equal(a, b)
        for a, b in zip(states[0].values(), members[0].state_dict().values(), strict=True)
    )


def test_weights_count_by_their_shares() -> None:
    members = [model(seed) for seed in (1, 2)]
    one, other = (member.state_dict() for member in members)
    for name, value in mean_weights(members, [3, 1]).state_dict().items():
        if value.is_floating_point():
            torch.testing.assert_close(value, 0.75 * one[name] + 0.25 * other[name])
    for shares in ([1], [1, 0], [1, -1], [1, float("nan")]):
        with pytest.raises(UsageError, match="a share above 0 is needed of each of 2 runs"):
            mean_weights(members, shares)


def test_weights_of_other_shapes_are_not_averaged() -> None:
    for others in ([], [model(2, words=())], [model(2, method="coral")]):
        with pytest.raises(UsageError, match="weights can be averaged of two or more networks"):
            mean_weights([model(1), *others])
