from __future__ import annotations

from importlib import import_module
from pathlib import Path

import pytest
import yaml
from pytorch_lightning import Callback
from torch import nn

from agelens.data.training_input import colour, geometry, scans
from agelens.data.training_input.geometry import RandomBatchTransform
from agelens.errors import UnknownNameError, UsageError
from agelens.models.methods.base import AgeMethod
from agelens.training.callbacks import FrozenBatchNorm, StageFreezing, WeightEMA
from agelens.training.config_schema import (
    REGISTRIES,
    class_path,
    named_arguments,
    registry,
    resolve_names,
)
from agelens.training.configuration import config_text, make_run, parse_run, run_parser
from agelens.training.optimizers import OptimizerChoice, Schedule
from agelens.training.regularisers import L2SP, Distillation
from agelens.training.regularisers.base import Regulariser
from agelens.training.run_options import RunOptions

PARSER = run_parser()
LEAST = ("--method", "dldl-v2", "--data.stores", "stores/a")
BASES = {
    "method": AgeMethod,
    "optimizer": OptimizerChoice,
    "schedule": Schedule,
    "callbacks": Callback,
    "regularisers": Regulariser,
    "data.augmentations": nn.Module,
}


def run_of(*words: str) -> RunOptions:
    return make_run(PARSER, parse_run(PARSER, [*LEAST, *words]))


@pytest.mark.parametrize(
    ("key", "name"), [(key, name) for key in REGISTRIES for name in registry(key)]
)
def test_every_name_stands_for_a_class_of_its_kind(key: str, name: str) -> None:
    module, _, attribute = class_path(key, name).rpartition(".")
    assert issubclass(getattr(import_module(module), attribute), BASES[key])


@pytest.mark.parametrize("module", [colour, geometry, scans])
def test_every_augmentation_has_a_name(module) -> None:
    steps = {
        name
        for name, value in vars(module).items()
        if isinstance(value, type) and issubclass(value, RandomBatchTransform)
    }
    assert steps - {"RandomBatchTransform"} <= registry("data.augmentations").keys()


def test_names_add_up_on_the_command_line() -> None:
    run = run_of(
        *("--callbacks+=FrozenBatchNorm", "--callbacks+", "StageFreezing"),
        *("--callbacks.stages", "2", "--regularisers+=L2SP", "--regularisers.alpha=0.5"),
        *("--data.augmentations+={class_path: RandomBlur, init_args: {low: 0.1, high: 0.2}}",),
        "--data.augmentations+=RandomHorizontalFlip",
    )
    assert [type(each) for each in run.callbacks] == [FrozenBatchNorm, StageFreezing]
    assert run.callbacks[1].stages == 2
    assert [type(each) for each in run.regularisers] == [L2SP]
    assert run.regularisers[0].alpha == 0.5
    blur, flip = run.data.augmentations
    assert (type(blur), blur.low, blur.high) == (scans.RandomBlur, 0.1, 0.2)
    assert type(flip) is geometry.RandomHorizontalFlip


def test_one_name_is_a_list_of_one() -> None:
    assert [type(each) for each in run_of("--callbacks=WeightEMA").callbacks] == [WeightEMA]


def test_names_are_enough_in_files_and_in_what_is_resolved(tmp_path: Path) -> None:
    document = {
        "callbacks": ["FrozenBatchNorm", {"class_path": "WeightEMA", "init_args": {"decay": 0.9}}],
        "regularisers": {"class_path": "Distillation", "init_args": {"weight": 0.3}},
        "data": {"augmentations": [{"class_path": "RandomGrey", "init_args": {"p": 0.1}}]},
    }
    file = tmp_path / "named.yaml"
    file.write_text(yaml.safe_dump(document))
    run = run_of("--config", str(file))
    assert [type(each) for each in run.callbacks] == [FrozenBatchNorm, WeightEMA]
    assert run.callbacks[1].decay == 0.9
    assert [(type(each), each.weight) for each in run.regularisers] == [(Distillation, 0.3)]
    assert run.data.augmentations[0].p == 0.1
    resolved = tmp_path / "resolved.yaml"
    resolved.write_text(config_text(parse_run(PARSER, [*LEAST, "--config", str(file)])))
    assert run_of("--config", str(resolved)).config == run.config


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--callbacks+=WeightEm"], r"unknown callback 'WeightEm'\. Did you mean 'WeightEMA'\?"),
        (["--regularisers=[L2-SP]"], r"unknown regulariser 'L2-SP'\. Did you mean 'L2SP'\?"),
        (["--data.augmentations", "[RandomBlurr]"], r"Did you mean 'RandomBlur'\?"),
        (["--callbacks+={class_path: StageFreeze}"], r"Did you mean 'StageFreezing'\?"),
    ],
)
def test_an_unknown_name_names_the_nearest(words: list[str], said: str) -> None:
    with pytest.raises(UnknownNameError, match=said):
        run_of(*words)


def test_a_name_without_its_arguments_says_which_are_needed() -> None:
    with pytest.raises(UsageError, match="RandomBlur needs low, high: give init_args"):
        run_of("--data.augmentations+=RandomBlur")


def test_import_paths_and_other_words_stay_as_they_are() -> None:
    path = "my.own.Callback"
    document = {"callbacks": [path], "seed": 3, "data": {"stores": "a"}}
    assert resolve_names(document) == {**document, "callbacks": [{"class_path": path}]}
    words = ["--seed", "3", "method", "--methods", "dex", "--data.stores=dex"]
    assert named_arguments(words) == words
    assert named_arguments(["--data.augmentations", "null"])[1] == "null"


def test_what_is_no_yaml_is_told() -> None:
    with pytest.raises(UsageError, match=r"--callbacks: cannot be read as YAML"):
        named_arguments(["--callbacks=[{"])
