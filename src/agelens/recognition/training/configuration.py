"""Configuration files of both stages: constructors are the schema, an unknown key is an error."""

from __future__ import annotations

from dataclasses import fields
from typing import Final

from jsonargparse import (  # type: ignore[attr-defined] # it has no __all__
    ActionConfigFile,
    ArgumentParser,
    Namespace,
)
from pytorch_lightning import Trainer

from agelens.recognition.margins import Margin
from agelens.recognition.training.branch_choice import BranchChoice
from agelens.recognition.training.identity_data import IdentityData, Stage
from agelens.recognition.training.options import ClassOptions, CLUBOptions, SGDOptions
from agelens.recognition.training.run_options import IdentityRun
from agelens.training.configuration import LIGHTNING_OURS, made_groups, plain_config
from agelens.training.run_options import CheckpointTimes
from agelens.training.schedules import Schedule

GROUPS: Final = tuple(field.name for field in fields(IdentityRun) if field.name != "config")

_OURS: Final = {
    *LIGHTNING_OURS,
    # Two optimisers in turn clip and step by themselves.
    *("gradient_clip_val", "gradient_clip_algorithm", "accumulate_grad_batches"),
}


def identity_parser() -> ArgumentParser:
    """The parser whose options are the constructors' arguments."""
    parser = ArgumentParser(
        prog="agelens identity train",
        description="Train age-invariant recognition on chip stores with identities: first an "
        "age branch (--stage age), then the identity branch beside it (--stage identity).",
        exit_on_error=False,
        allow_abbrev=False,
    )
    add = parser.add_class_arguments
    parser.add_argument("--config", action=ActionConfigFile, help="a YAML file; several add up")
    parser.add_argument("--stage", type=Stage, default="identity", help="age, then identity")
    parser.add_argument("--seed", type=int, default=0, help="of every random choice")
    add(BranchChoice, "branch")
    add(BranchChoice, "age_branch")
    parser.add_subclass_arguments(Margin, "margin")
    add(ClassOptions, "classes")
    add(CLUBOptions, "club")
    add(IdentityData, "data")
    add(SGDOptions, "optimizer")
    add(SGDOptions, "likelihood_optimizer")
    parser.add_subclass_arguments(Schedule, "schedule")
    parser.add_argument(
        "--gradient_clip", type=float | None, default=5.0, help="greatest norm; null does not clip"
    )
    add(CheckpointTimes, "checkpoints")
    add(Trainer, "trainer", skip=_OURS, instantiate=False)
    parser.set_defaults(
        {
            "margin": {"class_path": "agelens.recognition.margins.CosFace"},
            "schedule": {
                "class_path": "agelens.training.schedules.MultiStep",
                "init_args": {"milestones": [10, 18, 22], "gamma": 0.1},
            },
            "trainer.max_epochs": 25,
        }
    )
    return parser


def make_identity_run(parser: ArgumentParser, config: Namespace) -> IdentityRun:
    """The objects that `config` describes.

    Raises:
        AgelensError: a constructor refuses what it is given.
        UsageError: a value that a constructor does not take.
    """
    groups = made_groups(parser, config, GROUPS)
    return IdentityRun(**groups, config=plain_config(config, GROUPS))
