"""A run from start to end: train, choose, test once, and leave everything in one folder."""

from __future__ import annotations

import copy
import sys
from collections.abc import Mapping
from typing import Any, Final

import pytorch_lightning as pl
from pytorch_lightning.callbacks import RichProgressBar
from safetensors.torch import save

from agelens.atomic import write_atomically, write_json
from agelens.data.splits.resolve_split import TEST, TRAIN, VALID
from agelens.data.training_input.network_input import NetworkInput
from agelens.errors import TrainingError
from agelens.inference.answers import OutputSpec, read_answers
from agelens.models.age_model import AgeModel, start_head
from agelens.records import Floats
from agelens.tables import PredictionsTable, SampleTable, write_predictions
from agelens.training.age_module import AgeModule
from agelens.training.callbacks import LearningCurves, NaNGuard
from agelens.training.checkpoints import (
    model_weights,
    read_checkpoint,
)
from agelens.training.epoch_history import EpochHistory, TimeShare
from agelens.training.epoch_metrics import validation_metrics
from agelens.training.model_parts import age_model
from agelens.training.resume_identity import (
    can_resume,
    data_description,
    data_identity,
    resume_identity,
)
from agelens.training.run_folder import RunFolder
from agelens.training.run_options import RunOptions
from agelens.training.run_trainer import (
    SeededSteps,
    check_epochs,
    environment,
    lightning_logging,
    reseed,
    run_trainer,
)


def progress_of(quiet: bool) -> list[pl.Callback]:
    """A bar on a terminal, a line an epoch elsewhere, nothing where asked to be quiet."""
    if quiet:
        return []
    return [RunProgressBar()] if sys.stderr.isatty() else [EpochLines()]


class RunProgressBar(RichProgressBar):
    """Lightning's bar without the version of its logger, which a run folder has not."""

    def get_metrics(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule
    ) -> dict[str, int | str | float | dict[str, float]]:
        """What stands behind the bar."""
        metrics = super().get_metrics(trainer, pl_module)
        metrics.pop("v_num", None)
        return metrics

    def _get_train_description(self, current_epoch: int) -> str:
        """As the lines of a log have it, padded to what the bar of the validation says."""
        told = f"epoch {current_epoch + 1} of {self.trainer.max_epochs}"
        return f"{told:{len(self.validation_description)}}"


class EpochLines(pl.Callback):
    """One line an epoch on standard error, for logs."""

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Print the epoch's figures."""
        if not trainer.is_global_zero or not isinstance(pl_module, AgeModule):
            return
        figures = pl_module.metrics
        best = "  best so far" if pl_module.improved else ""
        print(
            f"epoch {trainer.current_epoch + 1} of {trainer.max_epochs}: "
            f"loss {figures['train/loss']:.4f}, valid {figures['valid/loss']:.4f}, "
            f"MAE {figures['valid/mae']:.3f}, CS@5 {100 * figures['valid/cs5']:.1f} %{best}",
            file=sys.stderr,
            flush=True,
        )


LEVEL: Final = 0.9


def predictions_of(
    answers: Floats,
    spec: OutputSpec,
    samples: SampleTable,
    *,
    split: str,
    model: str,
    method: str,
    backbone: str,
    seed: int,
    train_data: str,
) -> PredictionsTable:
    """The table of `answers` [N, width] to `samples`, with central 90 % intervals.

    Its `split` is the run's, not the dataset's own: `agelens calibrate` asks for rows that the
    run was not trained on.
    """
    read = read_answers(answers, spec)
    low, high = read.interval(LEVEL)
    columns = {
        "split": split,
        "estimate_years": read.estimate_years,
        "median_years": read.median_years,
        "low_years": low,
        "high_years": high,
        "interval_level": LEVEL,
        "model": model,
        "method": method,
        "backbone": backbone,
        "seed": seed,
        "train_data": train_data,
    }
    if read.distribution is None:
        return PredictionsTable.from_samples(samples, columns)
    return PredictionsTable.from_samples(
        samples, columns, distribution=read.distribution.astype("float32"), scale=spec.scale
    )


def weights_file(model: AgeModel) -> bytes:
    """Weights and buffers of `model` as safetensors, without features of training faces."""
    shared = copy.deepcopy(model)
    shared.clear_training_features()
    return save({name: value.contiguous() for name, value in shared.state_dict().items()})


def origin(run: RunOptions) -> dict[str, Any]:
    """Method, backbone and training data in words."""
    datasets = run.data.parts[TRAIN].table.frame["dataset"].unique()
    return {
        "method": run.method.name,
        "backbone": run.backbone.label,
        "train_data": "+".join(sorted(map(str, datasets))),
    }


def write_predictions_of(
    answers: Mapping[str, Floats], run: RunOptions, folder: RunFolder
) -> dict[str, Any]:
    """Write the predictions of each part; returns what the summary says of them.

    Raises:
        OutputError: a table cannot be written.
    """
    made_by = origin(run)
    metrics = {}
    for part, rows in answers.items():
        samples = run.data.parts[part].table
        table = predictions_of(
            rows,
            run.method.spec,
            samples,
            split=VALID if part == VALID else TEST,
            model=folder.path.name,
            seed=run.seed,
            **made_by,
        )
        write_predictions(table, folder.predictions(part))
        figures = validation_metrics(
            table.frame["estimate_years"], table.frame["age_years"], run.metrics
        )
        metrics[part] = {"samples": len(table), **figures}
    return {**made_by, "metrics": metrics}


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
        folder: where to; what it holds of an earlier part of the same run is resumed.
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
        run.method.fit_ages(run.data.parts[TRAIN].age_years)
        self.model = age_model(
            self.built, run.method, run.auxiliary, run.data.words, run.backbone.entry()
        )
        if run.backbone.head == "packaged":
            start_head(self.model.head, run.method.scale, backbone)
        self.identity = {"config": resume_identity(run.config), "data": data_identity(run.data)}
        self.module = AgeModule(
            self.model,
            run.optimizer,
            run.schedule,
            selection=run.selection,
            regularisers=run.regularisers,
            channels_last=run.channels_last,
            metrics=run.metrics,
            identity=self.identity,
        )
        self.history = EpochHistory(folder.metrics)
        self.time = TimeShare()
        self.trainer = self._trainer()

    def run_to_end(self) -> dict[str, Any]:
        """Train, test the best epoch once, write the results; returns the summary."""
        resume = can_resume(self.folder, self.identity)
        trainer = self.trainer
        if trainer.is_global_zero:
            self._describe()
        with lightning_logging():
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
        write_atomically(self.folder.weights, weights_file(self.model))
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
        write_atomically(
            self.folder.path / "starting-weights.txt", f"{self.built.report}\n".encode()
        )

    def _load_best(self, model: AgeModel) -> None:
        model.load_state_dict(model_weights(read_checkpoint(self.folder.best)))

    def _test(self) -> dict[str, Any]:
        """Answers [N, width] by part: valid, test, and the further tests."""
        options = {**self.run.trainer, "max_epochs": 1}
        with lightning_logging():
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
