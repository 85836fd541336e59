from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from agelens.errors import UnknownNameError, UsageError
from agelens.models.methods.coral import CORAL
from agelens.models.methods.dldl import DLDLv2
from agelens.training.config_schema import merged, read_config
from agelens.training.configuration import (
    config_text,
    make_run,
    parse_run,
    plain_config,
    run_parser,
)
from agelens.training.model_parts import make_parts
from agelens.training.optimizers import SGD, AdamW, Cosine, MultiStep

PARSER = run_parser()
LEAST = ["--method", "dldl-v2", "--data.stores", "stores/a"]


def parsed(*arguments: str) -> Any:
    return make_run(PARSER, parse_run(PARSER, arguments))


@pytest.fixture
def written(tmp_path: Path):
    def write(name: str, text: str) -> str:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return str(path)

    return write


def test_constructors_are_the_schema() -> None:
    run = parsed(*LEAST, "--method.sigma", "3", "--data.batch_size=7", "--trainer.max_epochs", "4")
    assert isinstance(run.method, DLDLv2)
    assert (run.method.sigma, run.data.batch_size, run.trainer["max_epochs"]) == (3, 7, 4)
    assert isinstance(run.optimizer, AdamW)
    assert isinstance(run.schedule, Cosine)
    assert run.data.folders == ["stores/a"]


def test_names_of_registries_are_enough(written) -> None:
    run = parsed(
        *("--method=coral", "--optimizer", "sgd", "--optimizer.lr", "0.5"),
        *("--schedule", "multi-step", "--schedule.milestones", "[2, 4]"),
        *("--data.stores", "[a, b]"),
    )
    assert isinstance(run.method, CORAL)
    assert isinstance(run.optimizer, SGD)
    assert isinstance(run.schedule, MultiStep)
    assert run.data.folders == ["a", "b"]
    config = written("c.yaml", "method: coral\noptimizer: {class_path: sgd, init_args: {lr: 1e-2}}")
    run = parsed("--config", config, "--data.stores", "a")
    assert isinstance(run.method, CORAL)
    assert run.optimizer.lr == 0.01


def test_files_add_up_and_options_count_most(written) -> None:
    low = written("low.yaml", "seed: 1\nmethod: dldl-v2\ndata: {stores: a, batch_size: 5}")
    high = written("high.yaml", "data: {batch_size: 6}\nmethod: {init_args: {sigma: 4}}")
    run = parsed("--config", low, "--config", high, "--seed", "9")
    assert (run.seed, run.data.batch_size, run.method.sigma) == (9, 6, 4)
    assert run.data.folders == ["a"]


def test_a_file_is_based_on_others_beside_it(written) -> None:
    written("base.yaml", "data: {stores: a, batch_size: 5}\nseed: 1")
    written("deep/mid.yaml", "base: ../base.yaml\nmethod: dldl-v2\nseed: 2")
    top = written("deep/top.yaml", "base: [mid.yaml]\ndata: {batch_size: 8}")
    run = parsed("--config", top)
    assert (run.seed, run.data.batch_size, run.data.folders) == (2, 8, ["a"])


def test_another_class_drops_the_old_ones_arguments() -> None:
    lower = {"method": {"class_path": "a.A", "init_args": {"sigma": 2}}}
    other = {"method": {"class_path": "a.B", "init_args": {"ages": "1-9"}}}
    assert merged(lower, other) == other
    same = {"method": {"class_path": "a.A", "init_args": {"ages": "1-9"}}}
    assert merged(lower, same)["method"]["init_args"] == {"sigma": 2, "ages": "1-9"}


def test_a_circle_is_refused(written) -> None:
    written("a.yaml", "base: b.yaml")
    path = written("b.yaml", "base: a.yaml")
    with pytest.raises(UsageError, match="based on itself"):
        read_config(Path(path))


@pytest.mark.parametrize(
    ("words", "key", "near"),
    [
        (["--method.sigm", "2"], "method.sigm", "method.sigma"),
        (["--trainer.max_epoch", "2"], "--trainer.max_epoch", "--trainer.max_epochs"),
        (["--data.bach_size=2"], "--data.bach_size", "--data.batch_size"),
        (["--sed", "2"], "--sed", "--seed"),
    ],
)
def test_an_unknown_option_names_the_nearest(words: list[str], key: str, near: str) -> None:
    with pytest.raises(UsageError) as refused:
        parsed(*LEAST, *words)
    assert f"unknown key '{key}'. Did you mean '{near}'?" in str(refused.value)


@pytest.mark.parametrize(
    ("text", "key", "near"),
    [
        ("method: {class_path: dldl-v2, init_args: {sigm: 2}}", "method.sigm", "method.sigma"),
        ("data: {stores: a, batchsize: 2}", "data.batchsize", "data.batch_size"),
        ("trainer: {maxepochs: 2}", "trainer.maxepochs", "trainer.max_epochs"),
        ("metod: coral", "metod", "method"),
        ("optimizer: {class_path: sgd, init_args: {lrr: 2}}", "optimizer.lrr", "optimizer.lr"),
    ],
)
def test_an_unknown_key_names_the_nearest(text: str, key: str, near: str, written) -> None:
    with pytest.raises(UsageError) as refused:
        parsed("--config", written("c.yaml", text), *LEAST)
    assert f"unknown key '{key}" in str(refused.value)
    assert f"Did you mean '{near}'?" in str(refused.value)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--method", "dldl-v3"], r"unknown method 'dldl-v3'\. Did you mean 'dldl-v2'"),
        (["--schedule", "cosin"], r"unknown schedule 'cosin'\. Did you mean 'cosine'"),
        (["--optimizer=adamm"], "Did you mean 'adam'"),
    ],
)
def test_an_unknown_name_names_the_nearest(words: list[str], said: str) -> None:
    with pytest.raises(UnknownNameError, match=said):
        parsed(*LEAST, *words)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--data.batch_size", "many"], "batch_size"),
        (["--method.ages", "old"], "'old'"),
        (["--selection.metric", "ca5"], "metric"),
        (["--data.preset", "rappl"], "'rapl'"),
        (["--optimizer.lr", "-1"], "lr above 0"),
    ],
)
def test_values_that_do_not_fit_are_refused(words: list[str], said: str) -> None:
    with pytest.raises((UsageError, UnknownNameError), match=said):
        parsed(*LEAST, *words)


@pytest.mark.parametrize("text", ["[1, 2]", "a: [", "\x00"])
def test_files_that_are_no_configuration_are_refused(text: str, written) -> None:
    with pytest.raises(UsageError, match=r"c\.yaml"):
        parsed("--config", written("c.yaml", text))


def test_absent_files_and_settings_are_told(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read as YAML: No such file"):
        parsed("--config", str(tmp_path / "no.yaml"))
    with pytest.raises(UsageError, match="stores"):
        parsed("--method", "coral")
    with pytest.raises(UsageError, match="method"):
        parsed("--data.stores", "a")


def test_the_resolved_configuration_is_read_back_the_same(tmp_path: Path) -> None:
    config = parse_run(PARSER, [*LEAST, "--optimizer.lr", "3e-7", "--data.tests.fgnet", "f"])
    text = config_text(config)
    assert yaml.safe_load(text)["data"]["tests"] == {"fgnet": "f"}
    (tmp_path / "config.yaml").write_text(text)
    again = parse_run(PARSER, ["--config", str(tmp_path / "config.yaml")])
    assert plain_config(again) == plain_config(config)
    assert config_text(again) == text


def test_a_models_parts_are_made_without_the_data() -> None:
    config = parse_run(PARSER, [*LEAST, "--backbone.name", "ir50", "--auxiliary.columns.gender=2"])
    method, backbone, auxiliary = make_parts(plain_config(config))
    assert method.name == "dldl-v2"
    assert backbone.name == "ir50"
    assert auxiliary.words == {"gender": ("female", "male")}


def test_callbacks_and_regularisers_are_lists_of_classes(written) -> None:
    path = written(
        "c.yaml",
        """
callbacks:
  - class_path: agelens.training.callbacks.WeightEMA
    init_args: {decay: 0.9}
regularisers:
  - class_path: agelens.training.regularisers.L2SP
""",
    )
    run = parsed("--config", path, *LEAST)
    assert run.callbacks[0].decay == 0.9
    assert run.regularisers[0].name
