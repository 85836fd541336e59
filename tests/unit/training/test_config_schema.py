"""The schema that is read from sources says what the constructors say."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib import import_module
from inspect import signature
from pathlib import Path

import pytest

from agelens.errors import UsageError
from agelens.training.config_schema import (
    AGE_RUN,
    REGISTRIES,
    arguments_of,
    class_path,
    read_arguments,
    registry,
)
from agelens.training.configuration import run_parser

CLASSES = [(key, name) for key in REGISTRIES for name in registry(key)]
UNSAID = {"FrozenBatchNorm"}  # what it takes is not in its source, or nothing


def loaded(path: str) -> type:
    module, _, name = path.rpartition(".")
    found: type = getattr(import_module(module), name)
    return found


@pytest.mark.parametrize(("key", "name"), CLASSES)
def test_arguments_are_those_of_the_constructor(key: str, name: str) -> None:
    path = class_path(key, name)
    found = arguments_of(path)
    if name in UNSAID:
        assert found in (None, [])
    else:
        assert found == list(signature(loaded(path)).parameters)


def test_parts_are_those_of_the_parser() -> None:
    known = {action.dest.removesuffix(".help") for action in run_parser()._actions}
    for part in AGE_RUN.parts:
        of_parser = {key.partition(".")[2] for key in known if key.startswith(f"{part}.")}
        assert set(AGE_RUN.arguments(part)) == of_parser
    alone = {key for key in known if "." not in key} - {"help", "config", "print_config"}
    assert alone == {*AGE_RUN.plain, *AGE_RUN.classes, *(alone & AGE_RUN.parts.keys())}


def test_names_are_those_of_the_registries() -> None:
    assert registry("method") == import_module("agelens.models.methods").METHODS
    assert registry("callbacks") == import_module("agelens.training.callbacks").CALLBACKS
    presets = import_module("agelens.data.training_input.chip_dataset")
    assert registry("data.augmentations") == presets.AUGMENTATIONS


@pytest.mark.parametrize(
    ("text", "words", "told"),
    [
        ("metod: coral", [], "unknown key 'metod'. Did you mean 'method'?"),
        ("data: {bach_size: 3}", [], "Did you mean 'data.batch_size'?"),
        (
            "method: {class_path: coral, init_args: {treshold: 1}}",
            [],
            "unknown key 'method.treshold'. Did you mean 'method.threshold'?",
        ),
        (
            "callbacks: [{class_path: WeightEMA, init_args: {decey: 0.9}}]",
            [],
            "Did you mean 'callbacks.decay'?",
        ),
        (
            "data: {augmentations: [{class_path: RandomGrey, init_args: {q: 1}}]}",
            [],
            "unknown key 'data.augmentations.q'",
        ),
        ("method: coral", ["--method.sigma", "3"], "unknown key 'method.sigma'"),
        ("method: dldl", ["--method.init_args.sigm", "3"], "Did you mean 'method.sigma'?"),
        ("method: dldl", ["--method", "coral", "--method.sigma=3"], "unknown key 'method.sigma'"),
        ("", ["--data.bach_size=3"], "Did you mean '--data.batch_size'?"),
        ("", ["--trainer.logger", "x"], "unknown key '--trainer.logger'"),
        ("", ["--sed", "3"], "Did you mean '--seed'?"),
    ],
)
def test_a_wrong_key_names_the_nearest(
    text: str, words: list[str], told: str, tmp_path: Path
) -> None:
    (tmp_path / "c.yaml").write_text(text)
    document, options = read_arguments(["--config", str(tmp_path / "c.yaml"), *words])
    with pytest.raises(UsageError) as refused:
        AGE_RUN.check(document, options)
    assert told in str(refused.value)


@pytest.mark.parametrize(
    "words",
    [
        ["--method", "dldl", "--method.sigma", "3", "--seed=-1"],
        ["--method.class_path", "coral", "--method.ages", "0-99"],
        ["--callbacks+=WeightEMA", "--callbacks.decay", "0.9", "--data.tests.fgnet", "f"],
        ["--auxiliary.columns.gender", "1", "--backbone.options.depth=3"],
        ["--data.augmentations+=RandomBlur", "--data.augmentations.low", "1"],
        ["--method", "nowhere.to.BeFound", "--method.anything", "1"],
    ],
)
def test_what_the_constructors_take_is_let_through(words: list[str]) -> None:
    AGE_RUN.check(*read_arguments(["--config", "utkface-dlib-resnet10", *words]))


def test_a_class_in_the_current_folder_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "odd_method.py").write_text(
        "from agelens.models.methods.coral import CORAL\n\n\n"
        "class Odd(CORAL):\n"
        "    def __init__(self, oddness=1):\n        super().__init__()\n\n\n"
        "class Plain(CORAL):\n    pass\n\n\n"
        "class Open(CORAL):\n    def __init__(self, **options):\n        super().__init__()\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    assert arguments_of("odd_method.Odd") == ["oddness"]
    assert arguments_of("odd_method.Plain") == arguments_of(class_path("method", "coral"))
    assert arguments_of("odd_method.Open") is None
    assert arguments_of("odd_method.Absent") is None


def test_nothing_heavy_is_loaded() -> None:
    code = (
        "import sys\n"
        "from agelens.training.config_schema import read_arguments\n"
        "from agelens.training.config_schema import AGE_RUN\n"
        "AGE_RUN.check(*read_arguments(['--config', 'utkface-dlib-resnet10']))\n"
        "print(*sys.modules)"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[3] / "src")},
        capture_output=True,
        text=True,
        check=True,
    )
    assert not {"torch", "pandas", "numpy", "pytorch_lightning"} & set(ran.stdout.split())
