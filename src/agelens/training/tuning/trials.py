"""A short training run that is judged and thrown away."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from copy import deepcopy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import pandas as pd
import pytorch_lightning as pl
from jsonargparse import ArgumentError
from torch import Tensor

from agelens.atomic import write_atomically, write_json
from agelens.data.age_data import AgeData
from agelens.errors import TrainingError, UsageError
from agelens.sessions import keep_freed_memory
from agelens.training.age_module import AgeModule
from agelens.training.checkpoints import config_diff
from agelens.training.configuration import make_run, run_parser
from agelens.training.run_folder import RunFolder
from agelens.training.run_options import RunOptions
from agelens.training.run_trainer import SeededSteps, lightning_logging
from agelens.training.training_loop import Training


@dataclass(frozen=True, slots=True)
class TuningFolder:
    """Names of everything that a tuning leaves in `path`."""

    path: Path

    @property
    def identity(self) -> Path:
        """What is tuned, on which data, by which plan."""
        return self.path / "tuning.json"

    @property
    def untrained(self) -> Path:
        """The loss of the untrained network."""
        return self.path / "untrained.json"

    @property
    def study(self) -> Path:
        """The trials of every step, as optuna keeps them."""
        return self.path / "study.db"

    @property
    def run(self) -> RunFolder:
        """The long run."""
        return RunFolder(self.path / "run")

    @property
    def page(self) -> Path:
        """The report."""
        return self.path / "index.html"

    def table(self, step: str) -> Path:
        """The trials of a finished step, ``overfit``, ``sweep``, ``grid`` or ``search``."""
        return self.path / f"{'trials' if step == 'search' else step}.csv"

    def write(self, step: str, trials: pd.DataFrame) -> None:
        """Write the table of a finished step; raises OutputError where that fails."""
        write_atomically(self.table(step), trials.to_csv(index=False).encode())

    def claim(self, identity: dict[str, Any]) -> None:
        """Take the folder for a tuning with this identity, new or resumed.

        Raises:
            UsageError: it holds something else.
            OutputError: it cannot be written.
        """
        if not self.identity.is_file():
            if self.path.exists() and (not self.path.is_dir() or any(self.path.iterdir())):
                raise UsageError(f"{self.path} exists and holds no tuning; name a new folder")
            write_json(self.identity, identity)
            return
        changed = config_diff(self.run.read(self.identity), identity)
        if changed:
            raise UsageError(
                f"{self.path} is a tuning of something else: {'; '.join(changed)}. Name a new "
                "folder, or give back what it was begun with"
            )


class RunFactory:
    """Makes the objects of a run anew for each trial, so that none carries another's state.

    All but the data, where no value of theirs is changed: once opened, they stay open.

    Args:
        document: a whole configuration in plain types, as `plain_config` gives it.
    """

    def __init__(self, document: Mapping[str, Any]) -> None:
        self.document = dict(document)
        self._parser = run_parser()
        self._data: tuple[dict[str, Any], AgeData] | None = None

    def __call__(self, changes: Mapping[str, Any] | None = None) -> RunOptions:
        """The run with `changes`: values by dotted key, such as ``optimizer.lr``.

        Raises:
            UsageError: a key that the configuration does not have, or a value that does not fit.
        """
        document = deepcopy(self.document)
        for key, value in (changes or {}).items():
            set_value(document, key, value)
        try:
            config = self._parser.parse_object(document)
        except ArgumentError as error:
            raise UsageError(f"a trial's configuration is refused: {error}") from error
        run = make_run(self._parser, config)
        if self._data is None or self._data[0] != run.config["data"]:
            self._data = run.config["data"], run.data
        return replace(run, data=self._data[1])

    def value(self, key: str) -> Any:
        """What the configuration says of a dotted key; raises as calling does."""
        node, name = _place(self.document, key)
        return node[name]


def set_value(document: dict[str, Any], key: str, value: Any) -> None:
    """Set the value of a dotted key in place; arguments of a class go by ``group.argument``.

    Raises:
        UsageError: the configuration has no such key.
    """
    node, name = _place(document, key)
    node[name] = value


def _place(document: dict[str, Any], key: str) -> tuple[dict[str, Any], str]:
    node: Any = document
    *path, name = key.split(".")
    for part in path:
        node = _arguments(node.get(part) if isinstance(node, dict) else None)
    if not isinstance(node, dict) or name not in node:
        known = f"; there are {', '.join(sorted(node))}" if isinstance(node, dict) else ""
        raise UsageError(f"the configuration has no value {key!r}{known}")
    return node, name


def _arguments(node: Any) -> Any:
    return node["init_args"] if isinstance(node, dict) and "init_args" in node else node


LOST: Final = math.inf
"""The loss and the error of a trial that ended in numbers that are none."""


class Trace(pl.Callback):
    """What a trial went through; it ends where its loss is not finite, before that does harm.

    `losses` are those of each step, `looks` the module's metrics after each epoch with the
    `step`, `best` the look that the run's own selection would keep. `lost` says that a number
    was none.
    """

    def __init__(self) -> None:
        self.losses: list[float] = []
        self.looks: list[dict[str, float]] = []
        self.best: dict[str, float] | None = None
        self.lost = False

    def on_before_backward(
        self, trainer: pl.Trainer, _pl_module: pl.LightningModule, loss: Tensor
    ) -> None:
        """Note the loss."""
        value = float(loss.detach()) * trainer.accumulate_grad_batches
        self.losses.append(value)
        if not math.isfinite(value):
            raise TrainingError("the loss of this trial is not finite")

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Note the validation."""
        if not isinstance(pl_module, AgeModule):
            raise TypeError(f"trials are of an AgeModule, not of {type(pl_module)}")
        if "valid/mae" in pl_module.metrics:
            look = {"step": trainer.global_step, **pl_module.metrics}
            self.looks.append(look)
            self.best = look if pl_module.improved else self.best


def training_of(make: RunFactory, changes: Mapping[str, Any]) -> Training:
    """Data and model of the run with `changes`, in a folder that nothing is written to.

    The store's hashes were checked by whoever made the first of many trials.
    """
    run = make({"data.verify": False, **changes})
    return Training(run, RunFolder(Path("no-run-folder")), quiet=True)


def run_trial(
    training: Training,
    *,
    epochs: int | None = None,
    steps: int | None = None,
    data: pl.LightningDataModule | None = None,
    validate: bool = True,
    callbacks: Iterable[pl.Callback] = (),
) -> Trace:
    """Train `training.module` without leaving anything on the disk.

    A trial whose loss is no number any more just ends; its trace says so. The test parts
    are not touched.

    Args:
        training: whose module and data are used.
        epochs: to train for; or
        steps: of the optimiser.
        data: in place of the run's own.
        validate: after each epoch.
        callbacks: beside those of the run.
    """
    trace = Trace()
    run = training.run
    ours = [SeededSteps(run.seed), trace, *run.callbacks, *callbacks]
    keep_freed_memory()
    with lightning_logging():
        trainer = pl.Trainer(**{**run.trainer, **_limits(epochs, steps, validate)}, callbacks=ours)
        try:
            trainer.fit(training.module, datamodule=data or run.data)
        except TrainingError:
            trace.lost = True
    return trace


def _limits(epochs: int | None, steps: int | None, validate: bool) -> dict[str, Any]:
    """Arguments of a trainer that trains for so long and writes nothing."""
    return {
        "max_epochs": epochs or steps,  # an epoch has at least one step
        "max_steps": -1 if steps is None else steps,
        "limit_val_batches": 1.0 if validate else 0,
        "num_sanity_val_steps": 0,
        "use_distributed_sampler": False,
        "logger": False,
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
    }
