"""A run from start to end: train, choose, test once, and leave everything in one folder."""

from __future__ import annotations

from typing import Any

import pytorch_lightning as pl

from agelens.errors import TrainingError
from agelens.models.age_model import AgeModel
from agelens.models.starting_head import start_head
from agelens.training.age_module import AgeModule
from agelens.training.callbacks import LearningCurves, NaNGuard
from agelens.training.checkpoints import (
    model_weights,
    read_checkpoint,
)
from agelens.training.chosen_split import TRAIN, VALID
from agelens.training.data_identity import data_description, data_identity
from agelens.training.environment import environment
from agelens.training.epoch_history import EpochHistory
from agelens.training.lightning_noise import quiet_lightning
from agelens.training.model_parts import age_model
from agelens.training.network_input import NetworkInput
from agelens.training.progress import progress_of
from agelens.training.resumable import is_begun, same_run
from agelens.training.run_folder import RunFolder
from agelens.training.run_options import RunOptions
from agelens.training.run_results import origin, weights_file, write_predictions_of
from agelens.training.run_trainer import check_epochs, run_trainer
from agelens.training.seeding import SeededSteps, reseed
from agelens.training.time_share import TimeShare
from agelens.whole_file import write_json, write_whole


def train(run: RunOptions, folder: RunFolder, *, quiet: bool = False) -> dict[str, Any]:
    """Train in `folder`, from its last checkpoint where there is one; returns the summary.

    Raises:
        UsageError: options or data that do not go together; or the last checkpoint is of
            another configuration or other data, and the message says what differs.
        TrainingError: the checkpoint is damaged or unsafe; or training broke down.
        OutputError: the folder cannot be written; the last good checkpoint is kept.
    """
    return Training(run, folder, quiet=quiet).run_to_end()


class Training:
    """One run: its data and model, made ready on construction.

    Args:
        run: what to train, and how.
        folder: where to; what it holds of an earlier part of the same run is gone on with.
        quiet: print nothing on the way.
    """

    def __init__(self, run: RunOptions, folder: RunFolder, *, quiet: bool = False) -> None:
        self.run = run
        self.folder = folder
        self.quiet = quiet
        check_epochs(run.trainer)
        reseed(run.seed)
        self.built = run.backbone.build()
        backbone = self.built.backbone
        run.data.open(
            NetworkInput(
                backbone.size, backbone.mean, backbone.std, run.method.scale, run.auxiliary.words
            ),
            seed=run.seed,
        )
        run.method.see_ages(run.data.parts[TRAIN].age_years)
        self.model = age_model(
            self.built, run.method, run.auxiliary, run.data.words, run.backbone.entry()
        )
        if run.backbone.head == "packaged":
            start_head(self.model.head, run.method.scale, backbone)
        self.identity = {"config": same_run(run.config), "data": data_identity(run.data)}
        self.module = AgeModule(
            self.model,
            run.optimizer,
            run.schedule,
            selection=run.selection,
            regularisers=run.regularisers,
            channels_last=run.channels_last,
            identity=self.identity,
        )
        self.history = EpochHistory(folder.metrics)
        self.time = TimeShare()

    def run_to_end(self) -> dict[str, Any]:
        """Train, test the best epoch once, write the results; returns the summary."""
        resume = is_begun(self.folder, self.identity)
        trainer = self._trainer()
        if trainer.is_global_zero:
            self._describe()
        with quiet_lightning():
            trainer.fit(
                self.module,
                datamodule=self.run.data,
                ckpt_path=self.folder.last if resume else None,
                weights_only=True,
            )
        if not self.history.rows:
            raise TrainingError(f"{self.folder.path}: no epoch was trained; see trainer.max_epochs")
        self._load_best(self.model)
        answers = self._test()
        if not trainer.is_global_zero:
            return {}
        write_whole(self.folder.weights, weights_file(self.model))
        summary = {
            **write_predictions_of(answers, self.run, self.folder),
            "epochs": len(self.history.rows),
            "best_epoch": self.run.selection.best_epoch,
            "selected_by": self.run.selection.metric,
            "seconds": round(self.history.seconds, 1),
            "model_time_share": round(self.time.share, 4) if self.time.seconds else None,
            "parameters": sum(weight.numel() for weight in self.model.parameters()),
        }
        write_json(self.folder.summary, summary)
        return summary

    def _trainer(self) -> pl.Trainer:
        own = [
            SeededSteps(self.run.seed),
            NaNGuard(),
            self.time,
            self.history,
            LearningCurves(),
            *progress_of(self.quiet),
        ]
        callbacks = [*own, *self.run.callbacks]
        return run_trainer(
            self.folder, self.run.trainer, callbacks, self.run.checkpoints, quiet=self.quiet
        )

    def _describe(self) -> None:
        described = {**origin(self.run), "departures": list(self.run.method.departures)}
        write_json(self.folder.environment, {**described, **environment(self.run.seed)})
        write_json(self.folder.data, data_description(self.run.data))
        write_whole(self.folder.path / "starting-weights.txt", f"{self.built.report}\n".encode())

    def _load_best(self, model: AgeModel) -> None:
        model.load_state_dict(model_weights(read_checkpoint(self.folder.best)))

    def _test(self) -> dict[str, Any]:
        """Answers [N, width] by part: valid, test, and the further tests."""
        options = {**self.run.trainer, "max_epochs": 1}
        with quiet_lightning():
            tester = pl.Trainer(
                **options,
                logger=False,
                enable_checkpointing=False,
                default_root_dir=self.folder.path,
                use_distributed_sampler=False,
                enable_model_summary=False,
                enable_progress_bar=False,
            )
            tester.test(self.module, datamodule=self.run.data, verbose=False)
        parts = (VALID, *self.run.data.test_names)
        return {part: self.module.answers[place] for place, part in enumerate(parts)}
