"""Configuration files of both stages: constructors are the schema, an unknown key is an error."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from typing import Any, Final

from jsonargparse import (  # type: ignore[attr-defined] # it has no __all__
    ActionConfigFile,
    ArgumentError,
    ArgumentParser,
    Namespace,
)
from jsonargparse.typing import NonNegativeInt
from pytorch_lightning import Trainer

from agelens.errors import UsageError
from agelens.recognition.margins import CosFace, Margin
from agelens.recognition.training.branch_choice import BranchChoice, Initial
from agelens.recognition.training.identity_data import IdentityData, Stage
from agelens.recorded import arguments_of, described
from agelens.training.config_schema import LIGHTNING_OURS
from agelens.training.configuration import made_groups, plain_config, to_usage_error
from agelens.training.optimizers import MultiStep, Schedule
from agelens.training.run_options import CheckpointTimes


@dataclass(frozen=True, slots=True, kw_only=True)
class SGDOptions:
    """Stochastic gradient descent; the defaults are IEFP's.

    Args:
        lr: learning rate before the schedule.
        momentum: of the running sum of gradients.
        weight_decay: L2 penalty of all weights.

    Raises:
        UsageError: a number out of range.
    """

    lr: float = 0.1
    momentum: float = 0.9
    weight_decay: float = 1e-4

    def __post_init__(self) -> None:
        if self.lr <= 0 or not 0 <= self.momentum < 1 or self.weight_decay < 0:
            raise UsageError(
                "SGD needs lr above 0, momentum from 0 to below 1 and no negative decay, got "
                f"lr {self.lr}, momentum {self.momentum}, weight_decay {self.weight_decay}"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class CLUBOptions:
    """How much the bound counts.

    Args:
        bound_weight: of the bound beside the identity loss; 0 leaves it out, with the age
            branch and the likelihood network.
        likelihood_weight: of the likelihood, in the likelihood network's own step.

    Raises:
        UsageError: a negative bound weight, or a likelihood weight of 0 or less.
    """

    bound_weight: float = 0.001
    likelihood_weight: float = 0.1

    def __post_init__(self) -> None:
        if self.bound_weight < 0 or self.likelihood_weight <= 0:
            raise UsageError(
                "the bound's weight is 0 or more and the likelihood's above 0, got "
                f"{self.bound_weight} and {self.likelihood_weight}"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassOptions:
    """The centres of the identities.

    Args:
        sample_rate: share of the centres that a step sees, above 0 to 1 (partial FC).
        sharded: of several processes, each holds its share of the centres, in place of all.
    """

    sample_rate: float = 1.0
    sharded: bool = False


def published_schedule() -> Schedule:
    """IEFP's: a tenth at epochs 10, 18 and 22, of 25."""
    return MultiStep([10, 18, 22], 0.1)


@dataclass(frozen=True, slots=True, kw_only=True)
class IdentityRun:
    """What `agelens.recognition.train_identity` needs; `make_identity_run` makes one of a file.

    The age stage takes `branch`, `optimizer`, `schedule` and what is below them.

    Args:
        stage: ``age`` trains the age branch on age groups, ``identity`` the identity branch
            beside a trained age branch.
        data: stores and labels.
        branch: what is trained.
        age_branch: what is frozen beside it; read where the bound has a weight.
        margin: of the loss over identities.
        classes: their centres.
        club: the bound's weight and the likelihood's.
        optimizer: of the branch that is trained, and the centres.
        likelihood_optimizer: of the likelihood network.
        schedule: of all learning rates.
        gradient_clip: greatest norm over each network's gradients.
        clip_centres: whether that norm is over the centres of identities as well, as IEFP's
            code clips; without, they learn at their own pace.
        initial: how random weights begin, ``agelens`` or as IEFP's code (``iefp``).
        checkpoints: in the identity stage, a batch counts as two steps of an optimiser.
        trainer: arguments of Lightning's Trainer.
        config: the configuration as plain types, by which a resumed run is known.
    """

    stage: Stage
    data: IdentityData
    seed: int = 0
    branch: BranchChoice = field(default_factory=BranchChoice)
    age_branch: BranchChoice = field(default_factory=BranchChoice)
    margin: Margin = field(default_factory=CosFace)
    classes: ClassOptions = field(default_factory=ClassOptions)
    club: CLUBOptions = field(default_factory=CLUBOptions)
    optimizer: SGDOptions = field(default_factory=SGDOptions)
    likelihood_optimizer: SGDOptions = field(default_factory=SGDOptions)
    schedule: Schedule = field(default_factory=published_schedule)
    gradient_clip: float | None = 5.0
    clip_centres: bool = False
    initial: Initial = "agelens"
    checkpoints: CheckpointTimes = field(default_factory=CheckpointTimes)
    trainer: dict[str, Any] = field(default_factory=dict)
    config: dict[str, Any] = field(default_factory=dict)


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
    parser.add_argument("--seed", type=NonNegativeInt, default=0, help="of every random choice")
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
    parser.add_argument(
        "--clip_centres", type=bool, default=False, help="clip the identities' centres as well"
    )
    parser.add_argument(
        "--initial", type=Initial, default="agelens", help="how random weights begin"
    )
    add(CheckpointTimes, "checkpoints")
    add(Trainer, "trainer", skip=_OURS, instantiate=False)
    parser.set_defaults(
        {
            "margin": {"class_path": "agelens.recognition.margins.CosFace"},
            "schedule": {
                "class_path": "agelens.training.optimizers.MultiStep",
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


def configured(run: IdentityRun) -> IdentityRun:
    """`run` with the configuration that its objects were made of, and defaults for the trainer.

    Raises:
        UsageError: an object that no configuration can name, or an argument that none knows.
    """
    classes = ("margin", "schedule")
    plain = ("stage", "seed", "gradient_clip", "clip_centres", "initial", "trainer")
    values = {name: getattr(run, name) for name in GROUPS}
    document = {
        name: described(value) if name in (*classes, *plain) else arguments_of(value)
        for name, value in values.items()
    }
    parser = identity_parser()
    try:
        config = plain_config(parser.parse_object(document), GROUPS)
    except ArgumentError as error:
        raise to_usage_error(error, parser) from error
    return replace(run, config=config, trainer=config["trainer"])
