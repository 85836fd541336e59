"""A run from start to end: train, choose, test once, and leave everything in one folder."""

from __future__ import annotations

import copy
import sys
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import pandas as pd
import pytorch_lightning as pl
from pytorch_lightning.callbacks import RichProgressBar
from safetensors.torch import save

from agelens.atomic import write_atomically, write_json
from agelens.data.splits.resolve_split import TEST, TRAIN, VALID
from agelens.data.training_input.chip_dataset import NetworkInput
from agelens.errors import TrainingError
from agelens.evaluation.metrics.errors import rates_across
from agelens.inference.answers import OutputSpec, likeliest_words, read_answers
from agelens.models.age_model import AgeModel, start_head
from agelens.records import Floats
from agelens.tables import PredictionsTable, SampleTable, write_predictions
from agelens.training.age_module import AgeModule
from agelens.training.callbacks import LearningCurves, NaNGuard
from agelens.training.checkpoints import (
    can_resume,
    data_description,
    data_identity,
    model_weights,
    read_checkpoint,
    resume_identity,
)
from agelens.training.epoch_metrics import (
    EpochHistory,
    TimeShare,
    told_accuracies,
    validation_metrics,
)
from agelens.training.model_parts import age_model
from agelens.training.run_folder import RunFolder
from agelens.training.run_options import RunOptions
from agelens.training.run_trainer import (
    SeededSteps,
    check_amounts,
    environment,
    lightning_logging,
    reseed,
    run_trainer,
)


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


def progress_of(quiet: bool, lines: type[pl.Callback] = EpochLines) -> list[pl.Callback]:
    """A bar on a terminal, a line an epoch elsewhere, nothing where asked to be quiet."""
    if quiet:
        return []
    return [RunProgressBar()] if sys.stderr.isatty() else [lines()]


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
    told: Mapping[str, Sequence[str]] | None = None,
) -> PredictionsTable:
    """The table of whole `answers` [N, width] to `samples`, with central 90 % intervals.

    Its `split` is the run's, not the dataset's own: `agelens calibrate` asks for rows that the
    run was not trained on. What is `told` beside an age becomes columns such as
    `gender_estimate` and `gender_score`.
    """
    read = read_answers(answers[:, : spec.width], spec)
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
    told = told or {}
    for column, (places, scores) in likeliest_words(answers[:, spec.width :], told).items():
        columns[f"{column}_estimate"] = np.asarray(told[column], dtype=object)[places]
        columns[f"{column}_score"] = scores
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
    answers: Mapping[str, Floats],
    run: RunOptions,
    folder: RunFolder,
    told: Mapping[str, Sequence[str]],
) -> dict[str, Any]:
    """Write the predictions of each part; returns what the summary says of them.

    Args:
        answers: whole ones [N, width] of each part.
        run: what made them.
        folder: where to.
        told: what they tell beside ages; see `AgeModel.told`.

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
            told=told,
            **made_by,
        )
        write_predictions(table, folder.predictions(part))
        figures = validation_metrics(
            table.frame["estimate_years"], table.frame["age_years"], run.metrics
        )
        figures |= rates_across(table.frame["estimate_years"], table.frame["age_years"])
        codes = {
            column: pd.Index(words).get_indexer(pd.Index(list(samples.frame[column])))
            for column, words in told.items()
        }
        figures |= told_accuracies(rows[:, run.method.spec.width :], told, codes)
        metrics[part] = {"samples": len(table), **figures}
    return {**made_by, "metrics": metrics}


class RunLoop(ABC):
    """One run of any kind in its folder: data and network made ready on construction, then trained.

    Args:
        run: what to train, and how; its `trainer` are arguments of Lightning's Trainer.
        folder: where to; what it holds of an earlier part of the same run is resumed.
        quiet: print nothing on the way.
    """

    def __init__(self, run: Any, folder: RunFolder, *, quiet: bool = False) -> None:
        self.run = run
        self.folder = folder
        self.quiet = quiet
        check_amounts(run.trainer)
        reseed(run.seed)
        self.module, self.report = self._build()
        self.identity: dict[str, Any] = self.module.identity
        self.history = EpochHistory(folder.metrics)
        self.time = TimeShare()
        self.trainer = run_trainer(
            folder, self._trainer_options(), self._callbacks(), run.checkpoints, quiet=quiet
        )

    def run_to_end(self) -> dict[str, Any]:
        """Train, write the results; returns the summary, an empty one beside the first process."""
        resume = can_resume(self.folder, self.identity)
        first = self.trainer.is_global_zero
        if first:
            made_by, data = self._described()
            write_json(self.folder.environment, {**made_by, **environment(self.run.seed)})
            write_json(self.folder.data, data)
            report = self.folder.path / "starting-weights.txt"
            write_atomically(report, f"{self.report}\n".encode())
        with lightning_logging():
            self.trainer.fit(
                self.module,
                datamodule=self.run.data,
                ckpt_path=self.folder.last if resume else None,
                weights_only=True,
            )
        if not self.history.rows:
            raise TrainingError(f"{self.folder.path}: no epoch was trained; see trainer.max_epochs")
        self._test()
        if not first:
            return {}
        write_atomically(self.folder.weights, self._weights())
        summary = {
            **self._results(),
            "epochs": len(self.history.rows),
            "seconds": round(self.history.seconds, 1),
            "model_time_share": round(self.time.share, 4) if self.time.seconds else None,
        }
        write_json(self.folder.summary, summary)
        return summary

    @abstractmethod
    def _build(self) -> tuple[Any, object]:
        """Open the data and build the module, which has an `identity`; and what its weights are."""

    @abstractmethod
    def _described(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """What trains, for `environment.json`, and on what, for `data.json`."""

    @abstractmethod
    def _test(self) -> None:
        """Load the weights that are left for use, and test them, in every process."""

    @abstractmethod
    def _weights(self) -> bytes:
        """Those weights as a file, in the first process."""

    @abstractmethod
    def _results(self) -> dict[str, Any]:
        """What the summary says beside epochs and time, in the first process."""

    @abstractmethod
    def _callbacks(self) -> list[pl.Callback]:
        """In their order; `history` and `time` are among them."""

    def _trainer_options(self) -> dict[str, Any]:
        return dict(self.run.trainer)


class Training(RunLoop):
    """The run of an age estimator."""

    run: RunOptions

    def _build(self) -> tuple[Any, object]:
        run = self.run
        built = run.backbone.build()
        backbone = built.backbone
        run.data.open(
            NetworkInput(
                backbone.size,
                backbone.mean,
                backbone.std,
                run.method.stated_scale,
                run.auxiliary.words,
            ),
            seed=run.seed,
        )
        run.method.fit_ages(run.data.parts[TRAIN].age_years)
        self.model = age_model(built, run.method, run.auxiliary, run.data.words, run.backbone)
        if run.backbone.head == "packaged":
            start_head(self.model.head, run.method.scale, backbone)
        module = AgeModule(
            self.model,
            run.optimizer,
            run.schedule,
            selection=run.selection,
            regularisers=run.regularisers,
            channels_last=run.channels_last,
            metrics=run.metrics,
            identity={"config": resume_identity(run.config), "data": data_identity(run.data)},
        )
        module.make_optimizer(self.model)  # what does not fit is told before anything is written
        return module, built.report

    def _callbacks(self) -> list[pl.Callback]:
        own = [SeededSteps(self.run.seed), NaNGuard(), self.time, self.history, LearningCurves()]
        return [*own, *progress_of(self.quiet), *self.run.callbacks]

    def _described(self) -> tuple[dict[str, Any], dict[str, Any]]:
        made_by = {**origin(self.run), "departures": [*map(str, self.run.method.departures)]}
        return made_by, data_description(self.run.data)

    def _weights(self) -> bytes:
        return weights_file(self.model)

    def _results(self) -> dict[str, Any]:
        return {
            **write_predictions_of(self.answers, self.run, self.folder, self.model.told),
            "best_epoch": self.run.selection.best_epoch,
            "selected_by": self.run.selection.metric,
            "parameters": sum(weight.numel() for weight in self.model.parameters()),
        }

    def _test(self) -> None:
        """`answers` [N, width] of the best epoch by part: valid, test, and the further tests."""
        self.model.load_state_dict(model_weights(read_checkpoint(self.folder.best)))
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
        self.answers = {part: self.module.answers[place] for place, part in enumerate(parts)}
