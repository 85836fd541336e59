from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from agelens.errors import CardError, UnknownNameError, UsageError
from agelens.models.backbones.base import Backbone
from agelens.models.backbones.weights import load_starting_weights, unwrapped


class Toy(Backbone):
    name = "toy"
    features, early_features = 2, 4
    size = 8
    mean = std = (0.5, 0.5, 0.5)
    stages = (("conv.", "norm."), ("last.",))
    beyond = ("classifier.",)

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, bias=False)
        self.norm = nn.BatchNorm2d(4)
        self.last = nn.Linear(4, 2)
        self.register_buffer("table", torch.ones(2), persistent=False)

    def with_early(self, images: Tensor) -> tuple[Tensor, Tensor]:
        early = self.norm(self.conv(images)).mean((2, 3))
        return self.last(early), early


@pytest.fixture
def trained() -> dict[str, Tensor]:
    torch.manual_seed(1)
    return Toy().state_dict()


@pytest.fixture
def toy() -> Toy:
    torch.manual_seed(2)
    return Toy()


def written(folder: Path, tensors: object) -> Path:
    path = folder / "weights.pth"
    torch.save(tensors, path)
    return path


def equal(toy: Toy, tensors: dict[str, Tensor]) -> bool:
    return all(torch.equal(value, tensors[name]) for name, value in toy.state_dict().items())


@pytest.mark.parametrize(
    "prefix", ["", "module.", "model.", "backbone.", "_orig_mod.", "model.backbone.", "net.module."]
)
def test_wrappers_are_taken_off(
    toy: Toy, trained: dict[str, Tensor], tmp_path: Path, prefix: str
) -> None:
    path = written(tmp_path, {f"{prefix}{name}": value for name, value in trained.items()})
    report = load_starting_weights(toy, path)
    assert equal(toy, trained)
    assert {line.fate for line in report.lines} == {"renamed" if prefix else "taken"}


def test_of_a_whole_model_only_the_backbone_is_taken(
    toy: Toy, trained: dict[str, Tensor], tmp_path: Path
) -> None:
    model = {f"model.backbone.{name}": value for name, value in trained.items()}
    model |= {"model.head.weight": torch.ones(3, 2), "model.last.weight": torch.zeros(2, 4)}
    report = load_starting_weights(toy, written(tmp_path, {"state_dict": model}))
    assert equal(toy, trained)
    assert [line.source for line in report.of("unused")] == [
        "model.head.weight",
        "model.last.weight",
    ]


def test_a_classifier_and_computed_buffers_are_left_out(
    toy: Toy, trained: dict[str, Tensor], tmp_path: Path
) -> None:
    more = {"classifier.weight": torch.ones(9, 2), "table": torch.zeros(2)}
    report = load_starting_weights(toy, written(tmp_path, {**trained, **more}))
    assert equal(toy, trained)
    assert [line.source for line in report.of("unused")] == list(more)


def test_a_counter_of_batches_may_be_missing(
    toy: Toy, trained: dict[str, Tensor], tmp_path: Path
) -> None:
    del trained["norm.num_batches_tracked"]
    report = load_starting_weights(toy, written(tmp_path, trained))
    assert report.of("missing") == ()


def test_half_precision_is_brought_to_the_backbones(
    toy: Toy, trained: dict[str, Tensor], tmp_path: Path
) -> None:
    half = {name: v.half() if v.is_floating_point() else v for name, v in trained.items()}
    load_starting_weights(toy, written(tmp_path, half))
    assert toy.conv.weight.dtype == torch.float32
    torch.testing.assert_close(toy.conv.weight, trained["conv.weight"], rtol=1e-3, atol=1e-4)


def refused(toy: Toy, path: Path, *, partial: bool = False) -> str:
    """The message; and nothing of the backbone has changed."""
    before = {name: value.clone() for name, value in toy.state_dict().items()}
    with pytest.raises(CardError) as caught:
        load_starting_weights(toy, path, partial=partial)
    assert equal(toy, before)
    return str(caught.value)


def test_weights_that_do_not_fit_are_named_with_their_shapes(
    toy: Toy, trained: dict[str, Tensor], tmp_path: Path
) -> None:
    trained["conv.weight"] = torch.ones(4, 1, 3, 3)
    trained["stranger"] = torch.ones(7)
    del trained["norm.bias"]
    message = refused(toy, written(tmp_path, trained))
    assert "mismatched conv.weight [4, 1, 3, 3] -> conv.weight [4, 3, 3, 3]" in message
    assert "missing    norm.bias [4]" in message
    assert "unexpected stranger [7]" in message
    assert "1 missing, 1 mismatched, 1 unexpected" in message


def test_of_many_keys_that_do_not_fit_the_first_are_named(toy: Toy, tmp_path: Path) -> None:
    path = written(tmp_path, {f"layer{number}.weight": torch.ones(1) for number in range(40)})
    message = refused(toy, path)
    assert message.count("missing    ") == 7  # all but the counter of batches
    assert message.count("unexpected layer") == 8
    assert "and 32 more unexpected" in message


def test_partial_lets_the_last_stage_be_absent_or_different(
    toy: Toy, trained: dict[str, Tensor], tmp_path: Path
) -> None:
    own_last = toy.last.weight.clone()
    trained["last.weight"] = torch.ones(5, 4)
    del trained["last.bias"]
    trained["age_head.weight"] = torch.ones(3)
    path = written(tmp_path, trained)
    assert "last.weight" in refused(toy, path)
    report = load_starting_weights(toy, path, partial=True)
    assert torch.equal(toy.conv.weight, trained["conv.weight"])
    assert torch.equal(toy.last.weight, own_last)
    assert [line.name for line in report.of("missing", "mismatched")] == [
        "last.bias",
        "last.weight",
    ]
    assert [line.source for line in report.of("unexpected")] == ["age_head.weight"]


def test_partial_forgives_no_earlier_stage(
    toy: Toy, trained: dict[str, Tensor], tmp_path: Path
) -> None:
    del trained["conv.weight"]
    assert "missing    conv.weight" in refused(toy, written(tmp_path, trained), partial=True)


def test_partial_takes_no_file_that_shares_nothing(toy: Toy, tmp_path: Path) -> None:
    class LastAlone(Toy):
        stages = ((), ("conv.", "norm.", "last."))

    message = refused(LastAlone(), written(tmp_path, {"other": torch.ones(2)}), partial=True)
    assert "do not fit" in message


def test_two_keys_for_one_parameter_are_refused(
    toy: Toy, trained: dict[str, Tensor], tmp_path: Path
) -> None:
    path = written(tmp_path, {**trained, "module.last.bias": torch.zeros(2)})
    assert "module.last.bias" in refused(toy, path)


def test_subnormal_weights_of_a_file_become_zero(
    toy: Toy, trained: dict[str, Tensor], tmp_path: Path
) -> None:
    trained["last.weight"][0, 0] = 1e-40
    report = load_starting_weights(toy, written(tmp_path, trained))
    assert toy.last.weight[0, 0] == 0
    assert report.flushed == 1
    assert "1 subnormal" in str(report)


def test_the_report_has_a_line_for_each_key(
    toy: Toy, trained: dict[str, Tensor], tmp_path: Path
) -> None:
    trained["module.norm.weight"] = trained.pop("norm.weight")
    trained["classifier.bias"] = torch.ones(9)
    path = written(tmp_path, trained)
    lines = str(load_starting_weights(toy, path)).splitlines()
    assert lines[0] == f"toy from {path}: 7 taken, 1 renamed, 1 unused"
    assert "  taken      conv.weight" in lines
    assert "  renamed    module.norm.weight -> norm.weight" in lines
    assert "  unused     classifier.bias [9]" in lines
    assert len(lines) == 1 + len(trained)


def test_random_weights_are_left_as_they_are(toy: Toy) -> None:
    before = {name: value.clone() for name, value in toy.state_dict().items()}
    report = load_starting_weights(toy, "random")
    assert equal(toy, before)
    assert str(report) == "toy from random numbers: no keys to load"


def test_a_word_that_is_no_start_lists_those_that_are(toy: Toy) -> None:
    with pytest.raises(UnknownNameError, match=r"'packaged'.*random, timm\. A file"):
        load_starting_weights(toy, "pakaged")


@pytest.mark.parametrize("word", ["packaged", "timm"])
def test_a_backbone_without_such_weights_says_so(toy: Toy, word: str) -> None:
    with pytest.raises(UsageError, match="toy"):
        load_starting_weights(toy, word)


def test_a_path_is_a_file_even_if_it_reads_like_a_word(toy: Toy) -> None:
    with pytest.raises(CardError, match="safetensors"):
        load_starting_weights(toy, Path("random"))


@given(
    st.lists(st.sampled_from(["module.", "model.", "backbone.", "net.", "_orig_mod."])),
    st.sampled_from(["conv1.weight", "layer1.0.net.bias", "models.x", "modular.weight"]),
)
def test_any_stack_of_wrappers_comes_off(wrappers: list[str], name: str) -> None:
    assert unwrapped("".join(wrappers) + name) == name
