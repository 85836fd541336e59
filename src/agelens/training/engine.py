"""The hub of training: from objects, or from a run's folder, to a finished run.

The walk, from the top: `Engine.fit` states its objects as a configuration and checks it,
`Training` opens the data and builds the model, `AgeModule` is one step and one validation,
`Training.run_to_end` tests the best epoch and writes the results, `Run.export` the bundle
that `agelens estimate --model` takes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import pytorch_lightning as pl
from jsonargparse import ArgumentError

from agelens.atomic import is_helper
from agelens.data.age_data import AgeData
from agelens.inference.cards import CARD_FILE
from agelens.models.backbones import Backbone
from agelens.models.methods.base import AgeMethod
from agelens.recorded import arguments_of, described, import_path
from agelens.training.checkpoints import can_resume, check_same_config
from agelens.training.configuration import (
    config_text,
    make_run,
    parse_run,
    run_parser,
    to_usage_error,
)
from agelens.training.epoch_metrics import Metric, Selection
from agelens.training.model_parts import AuxiliaryChoice, BackboneChoice, GivenBackbone
from agelens.training.optimizers import AdamW, Cosine, OptimizerChoice, Schedule
from agelens.training.regularisers.base import Regulariser
from agelens.training.run import Run
from agelens.training.run_folder import RunFolder
from agelens.training.run_options import CheckpointTimes, RunOptions
from agelens.training.training_loop import Training


class Engine:
    """Trains in one folder, as ``agelens train`` does: each can go on with the other's run.

    >>> Engine("runs/x", max_epochs=10).fit(DLDLv2(), AgeData("store"))  # doctest: +SKIP

    Args:
        folder: of the run; new, or that of the same run, which is then resumed.
        max_epochs: to train for.
        seed: of every random choice.
        optimizer: `AdamW` with a learning rate of 0.001 by default.
        schedule: of the learning rate; `Cosine` by default.
        selection: which epoch is the best, and when to stop; by the valid part's MAE by default.
        checkpoints: when the last state is kept; after each epoch by default.
        regularisers: terms that are added to the loss.
        callbacks: of Lightning's kind.
        metrics: further figures of each validation by name, any ``f(y_true, y_pred)``.
        channels_last: memory layout of images and weights.
        accelerator: as Lightning's Trainer has it; the rest too, down to `detect_anomaly`.
        strategy: how many devices work together.
        devices: how many, or which.
        num_nodes: machines.
        precision: of the arithmetic, such as ``16-mixed``.
        accumulate_grad_batches: batches a step.
        gradient_clip_val: the largest norm or value of gradients.
        gradient_clip_algorithm: ``norm`` or ``value``.
        limit_train_batches: of an epoch, a count or a share.
        log_every_n_steps: to TensorBoard.
        deterministic: only deterministic algorithms.
        benchmark: let cuDNN choose by measuring.
        sync_batchnorm: over all devices.
        detect_anomaly: find where a NaN comes from; slow.
        quiet: print nothing on the way.
        export: write the bundle for ``agelens estimate --model`` at the end.
    """

    def __init__(
        self,
        folder: str | Path,
        *,
        max_epochs: int = 30,
        seed: int = 0,
        optimizer: OptimizerChoice | None = None,
        schedule: Schedule | None = None,
        selection: Selection | None = None,
        checkpoints: CheckpointTimes | None = None,
        regularisers: Sequence[Regulariser] = (),
        callbacks: Sequence[pl.Callback] = (),
        metrics: Mapping[str, Metric] | None = None,
        channels_last: bool = False,
        accelerator: str = "auto",
        strategy: str = "auto",
        devices: list[int] | str | int = "auto",
        num_nodes: int = 1,
        precision: str | int | None = None,
        accumulate_grad_batches: int = 1,
        gradient_clip_val: float | None = None,
        gradient_clip_algorithm: Literal["norm", "value"] | None = None,
        limit_train_batches: float | None = None,
        log_every_n_steps: int | None = None,
        deterministic: bool | Literal["warn"] | None = None,
        benchmark: bool | None = None,
        sync_batchnorm: bool = False,
        detect_anomaly: bool = False,
        quiet: bool = False,
        export: bool = True,
    ) -> None:
        self.folder = Path(folder)
        self.callbacks = list(callbacks)
        self.metrics = dict(metrics or {})
        self.quiet = quiet
        self.export = export
        self._settings: dict[str, Any] = {
            "seed": seed,
            "optimizer": described(optimizer or AdamW(1e-3)),
            "schedule": described(schedule or Cosine()),
            "selection": arguments_of(selection or Selection()),
            "checkpoints": arguments_of(checkpoints or CheckpointTimes()),
            "regularisers": described(list(regularisers)),
            "callbacks": described(self.callbacks),
            "channels_last": channels_last,
            "trainer": {
                "max_epochs": max_epochs,
                "accelerator": accelerator,
                "strategy": strategy,
                "devices": devices,
                "num_nodes": num_nodes,
                "precision": precision,
                "accumulate_grad_batches": accumulate_grad_batches,
                "gradient_clip_val": gradient_clip_val,
                "gradient_clip_algorithm": gradient_clip_algorithm,
                "limit_train_batches": limit_train_batches,
                "log_every_n_steps": log_every_n_steps,
                "deterministic": deterministic,
                "benchmark": benchmark,
                "sync_batchnorm": sync_batchnorm,
                "detect_anomaly": detect_anomaly,
            },
        }

    def fit(
        self,
        method: AgeMethod,
        data: AgeData | str | Path,
        *,
        backbone: str | BackboneChoice | Backbone | type[Backbone] = "dlib-resnet10",
        auxiliary: AuxiliaryChoice | Mapping[str, float] | None = None,
    ) -> Run:
        """Train to the end, test the best epoch once, export it; returns the finished run.

        Called again alike, it goes on where it was broken off, or returns what is finished.
        Objects are made anew of their constructor's arguments, so that nothing that an earlier
        run left in them counts; only `data` and callbacks are used as they are.

        Args:
            method: any, also a class of your own that inherits from `agelens.models.AgeMethod`.
            data: to train, choose and test on; or the folder of a chip store.
            backbone: a name of ours or of timm's, one with starting weights and options, or a
                class or object of your own that inherits from `agelens.models.Backbone`; an
                object's weights are where training starts.
            auxiliary: columns to learn beside the age, such as ``{"gender": 0.1}`` with the
                weight of their loss.

        Raises:
            UsageError: options or data that do not go together; or the folder holds a run with
                another configuration or other data, and the message says what differs.
            TrainingError: a checkpoint is damaged or unsafe; or training broke down.
            ExportError: the exported network does not answer as the trained one does.
            OutputError: the folder cannot be written.
            KeyboardInterrupt: it was broken off; the last checkpoint is kept.
        """
        chips = data if isinstance(data, AgeData) else AgeData(str(data))
        given = _choice(backbone)
        learned = auxiliary or AuxiliaryChoice()
        document = {
            **self._settings,
            "method": described(method),
            "backbone": given.stated(self.folder),
            "auxiliary": arguments_of(learned)
            if isinstance(learned, AuxiliaryChoice)
            else {"columns": dict(learned)},
            "data": arguments_of(chips),
        }
        parser = run_parser()
        try:
            config = parser.parse_object(document)
        except ArgumentError as error:
            raise to_usage_error(error, parser) from error
        run = replace(
            make_run(parser, config), data=chips, callbacks=self.callbacks, metrics=self.metrics
        )
        if isinstance(given, GivenBackbone):
            run = replace(run, backbone=given)
        return train_in(
            RunFolder(self.folder), run, config_text(config), quiet=self.quiet, export=self.export
        )

    @classmethod
    def resume(
        cls,
        folder: str | Path,
        *,
        metrics: Mapping[str, Metric] | None = None,
        quiet: bool = False,
        export: bool = True,
    ) -> Run:
        """Go on with the run in `folder`, whoever began it, and return it once it is finished.

        Raises:
            UsageError: there is no run, or its configuration names a class that cannot be
                imported here, such as one that another notebook defined.
            AgelensError: as `fit` does.
        """
        place = RunFolder(Path(folder))
        place.check_begun()
        parser = run_parser()
        config = parse_run(parser, ["--config", str(place.config)])
        run = replace(make_run(parser, config), metrics=dict(metrics or {}))
        return train_in(place, run, config_text(config), quiet=quiet, export=export)

    def __repr__(self) -> str:
        return f"Engine({str(self.folder)!r}, max_epochs={self._settings['trainer']['max_epochs']})"


def train_in(
    folder: RunFolder, run: RunOptions, config: str, *, quiet: bool = False, export: bool = True
) -> Run:
    """Begin `run` in `folder`, go on with it, or find it finished; raises as `Engine.fit` does.

    Nothing is written before data, model and trainer have been made without complaint.

    Args:
        folder: new, or that of the same run.
        run: what to train, and how.
        config: its configuration, as the folder is to keep it.
        quiet: print nothing on the way.
        export: write the bundle for ``agelens estimate --model``, where it is not there yet.
    """
    if folder.config.is_file():
        check_same_config(folder, run.config)
    training = Training(run, folder, quiet=quiet)
    with claimed(folder, config):
        if isinstance(run.backbone, GivenBackbone):
            run.backbone.keep_weights(folder.path)
        if folder.summary.is_file():
            can_resume(folder, training.identity)  # only if the data are the same
        else:
            training.run_to_end()
    if is_helper():  # Lightning started it beside the first process; its work is done
        raise SystemExit(0)
    finished = Run(folder.path)
    if export and not (folder.path / CARD_FILE).is_file():
        finished.export()
    return finished


@contextmanager
def claimed(folder: RunFolder, config: str) -> Iterator[None]:
    """Begin the run or go on with it, and say how to go on where Ctrl-C ends it.

    Processes beside the first one leave the folder to it.
    """
    held = folder.held() if folder.config.is_file() else folder.begun(config)
    with nullcontext() if is_helper() else held:
        try:
            yield
        except SystemExit as left:  # how Lightning ends after Ctrl-C
            if not isinstance(left.__context__, KeyboardInterrupt):
                raise
            raise KeyboardInterrupt(
                f"interrupted; {folder.command} --resume {folder.path} goes on with it"
            ) from None


def _choice(backbone: str | BackboneChoice | Backbone | type[Backbone]) -> BackboneChoice:
    if isinstance(backbone, BackboneChoice):
        return backbone
    if isinstance(backbone, Backbone):
        return GivenBackbone(backbone)
    return BackboneChoice(backbone if isinstance(backbone, str) else import_path(backbone))
