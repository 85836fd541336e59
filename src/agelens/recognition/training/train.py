"""A run from start to end: train, and leave the branch that was trained in one folder."""

from __future__ import annotations

import sys
from typing import Any, Final

import pytorch_lightning as pl
from safetensors.torch import save

from agelens.errors import TrainingError
from agelens.recognition.training.data_facts import data_facts
from agelens.recognition.training.epoch_lines import EpochLossLines
from agelens.recognition.training.epoch_losses import ClosedEpochs
from agelens.recognition.training.made_run import made
from agelens.recognition.training.run_options import IdentityRun
from agelens.training.callbacks import NaNGuard
from agelens.training.checkpoints import read_checkpoint
from agelens.training.environment import environment
from agelens.training.epoch_history import EpochHistory
from agelens.training.lightning_noise import quiet_lightning
from agelens.training.progress import RunProgressBar
from agelens.training.resumable import is_begun
from agelens.training.run_folder import RunFolder
from agelens.training.run_trainer import check_epochs, run_trainer
from agelens.training.seeding import SeededSteps, reseed
from agelens.training.time_share import TimeShare
from agelens.whole_file import write_json, write_whole

_TWO_LOSSES: Final = "ddp_find_unused_parameters_true"
"""Each of a batch's two losses reaches part of the weights, which plain ``ddp`` stumbles over."""


def train_identity(run: IdentityRun, folder: RunFolder, *, quiet: bool = False) -> dict[str, Any]:
    """Train in `folder`, from its last checkpoint where there is one; returns the summary.

    Other processes than the first return an empty one.

    Raises:
        UsageError: options or data that do not go together; or the last checkpoint is of
            another configuration or other data, and the message says what differs.
        CardError: starting weights that are absent, unsafe to read, or do not fit.
        TrainingError: the checkpoint is damaged or unsafe; or training broke down.
        OutputError: the folder cannot be written; the last good checkpoint is kept.
    """
    return IdentityTraining(run, folder, quiet=quiet).run_to_end()


class IdentityTraining:
    """One run: its data and networks, made ready on construction.

    Args:
        run: what to train, and how.
        folder: where to; what it holds of an earlier part of the same run is gone on with.
        quiet: print nothing on the way.
    """

    def __init__(self, run: IdentityRun, folder: RunFolder, *, quiet: bool = False) -> None:
        check_epochs(run.trainer)
        self.run = run
        self.folder = folder
        self.quiet = quiet
        reseed(run.seed)
        self.made = made(run)
        self.history = EpochHistory(folder.metrics)
        self.time = TimeShare()

    def run_to_end(self) -> dict[str, Any]:
        """Train, write weights and summary; returns the summary."""
        resume = is_begun(self.folder, self.made.identity)
        trainer = self._trainer()
        if trainer.is_global_zero:
            self._describe()
        with quiet_lightning():
            trainer.fit(
                self.made.module,
                datamodule=self.run.data,
                ckpt_path=self.folder.last if resume else None,
                weights_only=True,
            )
        if not self.history.rows:
            raise TrainingError(f"{self.folder.path}: no epoch was trained; see trainer.max_epochs")
        return self._leave() if trainer.is_global_zero else {}

    def _trainer(self) -> pl.Trainer:
        own = [ClosedEpochs(), SeededSteps(self.run.seed), NaNGuard(), self.time, self.history]
        callbacks = [*own, *self._progress()]
        return run_trainer(
            self.folder, self._options(), callbacks, self.run.checkpoints, quiet=self.quiet
        )

    def _options(self) -> dict[str, Any]:
        options = dict(self.run.trainer)
        if self.run.stage == "identity" and options.get("strategy") == "ddp":
            options["strategy"] = _TWO_LOSSES
        return options

    def _progress(self) -> list[pl.Callback]:
        if self.quiet:
            return []
        return [RunProgressBar()] if sys.stderr.isatty() else [EpochLossLines()]

    def _describe(self) -> None:
        run, data = self.run, self.run.data
        facts = data_facts(data)
        made_by = {
            "method": f"iefp ({run.stage} stage)",
            "backbone": run.branch.name,
            "train_data": "+".join(sorted(facts["datasets"])),
        }
        write_json(self.folder.environment, {**made_by, **environment(run.seed)})
        write_json(self.folder.data, facts)
        report = f"{self.made.report}\n"
        write_whole(self.folder.path / "starting-weights.txt", report.encode())

    def _load_last(self) -> None:
        """The trained part as the last checkpoint has it, which may be all that was done."""
        prefix = self.made.prefix
        saved = read_checkpoint(self.folder.last)["state_dict"].items()
        self.made.trained.load_state_dict(
            {name.removeprefix(prefix): value for name, value in saved if name.startswith(prefix)}
        )

    def _leave(self) -> dict[str, Any]:
        """Write the last epoch's weights, and the summary."""
        self._load_last()
        weights = {name: value.contiguous() for name, value in self.made.weights().items()}
        write_whole(self.folder.weights, save(weights))
        data = self.run.data
        summary = {
            "stage": self.run.stage,
            "identities": data.identities,
            "pictures": len(data.chips),
            "left_out": data.left_out,
            "epochs": len(self.history.rows),
            "seconds": round(self.history.seconds, 1),
            "model_time_share": round(self.time.share, 4) if self.time.seconds else None,
            "parameters": sum(value.numel() for value in weights.values()),
            "last_epoch": self.history.rows[-1],
        }
        write_json(self.folder.summary, summary)
        return summary
