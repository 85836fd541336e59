"""Configuration files: constructors are the schema, and an unknown key is an error."""

from __future__ import annotations

import inspect
import json
import math
import re
from collections.abc import Sequence
from dataclasses import fields
from importlib import import_module
from typing import Any, Final

import numpy as np
import yaml
from jsonargparse import (  # type: ignore[attr-defined] # it has no __all__
    ActionConfigFile,
    ArgumentError,
    ArgumentParser,
    Namespace,
)
from jsonargparse.typing import NonNegativeInt
from pytorch_lightning import Callback, Trainer

from agelens.data.age_data import AgeData
from agelens.errors import UsageError
from agelens.recorded import import_path, imported
from agelens.training.config_schema import LIGHTNING_OURS, read_arguments, unknown_key
from agelens.training.epoch_metrics import Selection
from agelens.training.model_parts import add_parts, not_importable
from agelens.training.optimizers import OptimizerChoice, Schedule
from agelens.training.regularisers.base import Regulariser
from agelens.training.run_options import CheckpointTimes, RunOptions

_LARGEST_WHOLE: Final = 2**32 - 1
_LARGEST_FLOAT: Final = float(np.finfo(np.float32).max)
_NOT_ACCEPTED: Final = re.compile(r"[Oo]ption '([^']+)' is not accepted")
_IN_GROUP: Final = re.compile(r"Group '([^']+)' does not accept option '([^']+)'")
_UNRECOGNISED: Final = re.compile(r"[Uu]nrecognized arguments: (.*)")
_REQUIRED: Final = re.compile(
    r"given class_path '[\w.]*?(\w+)':\s+the following arguments are required: ([\w, ]+)"
)
_CLASS: Final = re.compile(r"class_path '([\w.]+)'")
_NOTEBOOK: Final = re.compile(r"'(__main__\.\w+)'")
_TYPE_NOISE: Final = re.compile(r"\s*- Expected a <class 'NoneType'>|\s*Subtypes: .*")


def to_usage_error(error: ArgumentError, parser: ArgumentParser) -> UsageError:
    """The error with the nearest valid keys, where a key is unknown."""
    message = str(error)
    unknown = _NOT_ACCEPTED.search(message)
    named = _CLASS.search(message)
    if unknown and named:
        group = message.partition('Parser key "')[2].partition('"')[0]
        valid = _parameters(named[1])
        return unknown_key(f"{group}.{unknown[1]}", (f"{group}.{name}" for name in valid))
    if unknown:
        return unknown_key(unknown[1], _keys(parser))
    in_group = _IN_GROUP.search(message)
    if in_group:
        return unknown_key(f"{in_group[1]}.{in_group[2]}", _keys(parser))
    unrecognised = _UNRECOGNISED.search(message)
    if unrecognised:
        word = unrecognised[1].split()[0].partition("=")[0]
        return unknown_key(word, (f"--{key}" for key in _keys(parser)))
    required = _REQUIRED.search(message)
    if required:
        return UsageError(f"{required[1]} needs {required[2].strip()}: give init_args for it")
    notebook = _NOTEBOOK.search(message)
    reason = not_importable(notebook[1]) if notebook else _TYPE_NOISE.sub("", message).strip()
    return UsageError(f"the configuration is refused: {reason}")


def _keys(parser: ArgumentParser) -> list[str]:
    keys = {action.dest for action in parser._actions}
    return sorted(keys - {"help", "print_config"})


def _parameters(path: str) -> list[str]:
    module, _, name = path.rpartition(".")
    signature = inspect.signature(getattr(import_module(module), name))
    return list(signature.parameters)


_GROUPS: Final = tuple(
    field.name for field in fields(RunOptions) if field.name not in ("config", "metrics")
)


def run_parser(program: str = "agelens train") -> ArgumentParser:
    """The parser whose options are the constructors' arguments."""
    parser = ArgumentParser(
        prog=program,
        description="Train an age estimator: any method, any backbone, any chip store.",
        exit_on_error=False,
        allow_abbrev=False,
    )
    parser.add_argument("--config", action=ActionConfigFile, help="a YAML file; several add up")
    parser.add_argument("--seed", type=NonNegativeInt, default=0, help="of every random choice")
    add_parts(parser)
    parser.add_class_arguments(AgeData, "data")
    parser.add_subclass_arguments(OptimizerChoice, "optimizer", required=True)
    parser.add_subclass_arguments(Schedule, "schedule", required=True)
    parser.add_class_arguments(Selection, "selection")
    parser.add_class_arguments(CheckpointTimes, "checkpoints")
    parser.add_argument("--regularisers", type=list[Regulariser], default=[])
    parser.add_argument("--callbacks", type=list[Callback], default=[])
    parser.add_argument("--channels_last", type=bool, default=False, help="memory layout")
    parser.add_class_arguments(Trainer, "trainer", skip=LIGHTNING_OURS, instantiate=False)
    parser.set_defaults(
        {
            "optimizer": {
                "class_path": "agelens.training.optimizers.AdamW",
                "init_args": {"lr": 1e-3},
            },
            "schedule": {"class_path": "agelens.training.optimizers.Cosine"},
            "trainer.max_epochs": 30,
        }
    )
    return parser


def parse_run(parser: ArgumentParser, arguments: Sequence[str]) -> Namespace:
    """The configuration of `arguments`, with the files that they name read and composed.

    Raises:
        UsageError: an unknown key, which names the nearest one; a value that does not fit; a
            file that cannot be read.
        UnknownNameError: a name that is in no registry.
    """
    document, options = read_arguments(arguments)
    given = ["--config", json.dumps(document)] if document else []
    try:
        config = parser.parse_args([*given, *options])
    except OverflowError as error:
        raise UsageError(
            "a number in the configuration has more digits than any can have"
        ) from error
    except ArgumentError as error:
        raise to_usage_error(error, parser) from error
    for key, number in config.items():
        _check_size(key, number)
    return config


def _check_size(key: str, value: object) -> None:
    """Torch and Lightning compute with no larger ones, and fail hours later or far away."""
    if isinstance(value, list | tuple):
        for one in value:
            _check_size(key, one)
    if isinstance(value, int) and abs(value) > _LARGEST_WHOLE:
        raise UsageError(f"{key} must be at most {_LARGEST_WHOLE:,}")
    if isinstance(value, float) and _LARGEST_FLOAT < abs(value) < math.inf:
        raise UsageError(f"{key} must be at most {_LARGEST_FLOAT:g}, got {value:g}")


def make_run(parser: ArgumentParser, config: Namespace) -> RunOptions:
    """The objects that `config` describes.

    Raises:
        AgelensError: a constructor refuses what it is given.
        UsageError: a value that a constructor does not take.
    """
    return RunOptions(**made_groups(parser, config), config=plain_config(config))


def made_groups(
    parser: ArgumentParser, config: Namespace, groups: Sequence[str] = _GROUPS
) -> dict[str, Any]:
    """The objects of `groups` that `config` describes; the trainer's stay plain arguments.

    Raises:
        AgelensError: a constructor refuses what it is given.
        UsageError: a value that a constructor does not take.
    """
    try:
        objects = parser.instantiate(config)
    except ValueError as error:
        raise UsageError(f"the configuration is refused: {error}") from error
    return {**{name: objects[name] for name in groups}, "trainer": config.trainer.as_dict()}


def plain_config(config: Namespace, groups: Sequence[str] = _GROUPS) -> dict[str, Any]:
    """The `groups` of `config` as plain types, without where its files were."""
    kept = {name: value for name, value in config.as_dict().items() if name in groups}
    values: dict[str, Any] = _with_one_path(json.loads(json.dumps(kept)))
    return values


def _with_one_path(node: Any) -> Any:
    """`node` with each class by where it is defined: jsonargparse takes any way to it."""
    if isinstance(node, list):
        return [_with_one_path(one) for one in node]
    if not isinstance(node, dict):
        return node
    plain = {name: _with_one_path(value) for name, value in node.items()}
    if isinstance(plain.get("class_path"), str):
        plain["class_path"] = import_path(imported(plain["class_path"]))
    return plain


def config_text(config: Namespace, groups: Sequence[str] = _GROUPS) -> str:
    """The `groups` of `config` as YAML that `read_config` takes back."""
    return str(yaml.safe_dump(plain_config(config, groups), sort_keys=False, allow_unicode=True))
