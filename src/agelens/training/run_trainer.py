"""Lightning's trainer as every run has it: logs and checkpoints in the run's folder."""

from __future__ import annotations

import logging
import platform
import random
import subprocess
import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytorch_lightning as pl
import torch
from lightning_fabric.utilities.exceptions import MisconfigurationException
from pytorch_lightning.loggers import TensorBoardLogger

from agelens.errors import UsageError
from agelens.inference.estimator import available_cores
from agelens.sessions import keep_freed_memory
from agelens.training.checkpoints import AtomicCheckpoints, RunCheckpoints
from agelens.training.run_folder import RunFolder
from agelens.training.run_options import CheckpointTimes
from agelens.version import __version__

_PACKAGES: Final = (
    *("torch", "torchvision", "timm", "pytorch-lightning", "numpy", "opencv-python"),
    *("jsonargparse", "pandas", "pyarrow", "pillow"),
)


def environment(seed: int) -> dict[str, Any]:
    """Versions, processor, threads and seed, as plain types."""
    return {
        "agelens": __version__,
        "git": _git_commit(),
        "python": sys.version.split()[0],
        "platform": platform.platform(),
        "packages": {name: _version(name) for name in _PACKAGES},
        "processor": _processor(),
        "cores": available_cores(),
        "torch_threads": torch.get_num_threads(),
        "gpus": [torch.cuda.get_device_name(n) for n in range(torch.cuda.device_count())],
        "seed": seed,
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _git_commit() -> str | None:
    """The commit that agelens runs from, with a + where files were changed; None if installed."""
    here = Path(__file__).parent
    try:
        described = subprocess.run(
            ["git", "describe", "--always", "--dirty=+", "--abbrev=12"],  # noqa: S607
            cwd=here,
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return described.stdout.strip()


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


_EPOCHS, _STEPS = 0, 1


def reseed(*entropy: int) -> None:
    """Seed Python, NumPy and torch from the numbers `entropy`, each at least 0."""
    words = np.random.SeedSequence(entropy).generate_state(3, np.uint64)
    random.seed(int(words[0]))
    np.random.seed(int(words[1] >> np.uint64(32)))
    torch.manual_seed(int(words[2] >> np.uint64(1)))


class SeededSteps(pl.Callback):
    """Seeds every source of chance anew at each epoch and each batch.

    Args:
        seed: of the run.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """What is drawn before the first batch."""
        del pl_module
        reseed(self.seed, _EPOCHS, trainer.current_epoch, trainer.global_rank)

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """What is drawn for a batch, such as by dropout."""
        del pl_module, batch
        reseed(self.seed, _STEPS, trainer.current_epoch, batch_idx, trainer.global_rank)


_LOGGERS: Final = ("pytorch_lightning", "lightning_fabric", "lightning")
_WORDS: Final = (
    ".*smaller than the logging interval.*",  # of a small run nothing is lost
    ".*in eval mode at the start of training.*",  # what is frozen
    ".*LeafSpec.*is deprecated.*",  # torch's, of Lightning's own code
)


@contextmanager
def lightning_logging() -> Iterator[None]:
    """Within this context Lightning logs warnings only, and not those that we cause knowingly."""
    levels = {name: logging.getLogger(name).level for name in _LOGGERS}
    for name in _LOGGERS:
        logging.getLogger(name).setLevel(logging.WARNING)
    try:
        with warnings.catch_warnings():
            for words in _WORDS:
                warnings.filterwarnings("ignore", words)
            yield
    finally:
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)


def check_amounts(trainer: Mapping[str, Any]) -> None:
    """Raise where a run would have no end, nothing to do, or never make a step.

    Raises:
        UsageError: `max_epochs` or `accumulate_grad_batches` is no number of 1 or more.
    """
    batches = trainer.get("accumulate_grad_batches", 1)
    for name, number in (
        ("max_epochs", trainer.get("max_epochs")),
        ("accumulate_grad_batches", batches),
    ):
        if not isinstance(number, int) or number < 1:
            raise UsageError(f"trainer.{name} is 1 or more, got {number}")


def run_trainer(
    folder: RunFolder,
    options: Mapping[str, Any],
    callbacks: Sequence[pl.Callback],
    times: CheckpointTimes,
    *,
    quiet: bool,
) -> pl.Trainer:
    """The trainer of a run in `folder`.

    Args:
        folder: where logs and checkpoints go.
        options: arguments of Lightning's Trainer that are the user's.
        callbacks: in their order; checkpoints are saved after all of them.
        times: when checkpoints are saved.
        quiet: without a progress bar.

    Raises:
        UsageError: Lightning refuses the options, such as an accelerator that is not there.
    """
    keep_freed_memory()
    saved = RunCheckpoints(folder, every_epochs=times.every_epochs, every_steps=times.every_steps)
    try:
        with lightning_logging():
            return pl.Trainer(
                **options,
                callbacks=[*callbacks, saved],
                logger=TensorBoardLogger(folder.path, name="", version=folder.logs.name),
                plugins=[AtomicCheckpoints()],
                default_root_dir=folder.path,
                num_sanity_val_steps=0,
                use_distributed_sampler=False,
                enable_model_summary=False,
                enable_progress_bar=not quiet and sys.stderr.isatty(),
            )
    except (MisconfigurationException, ModuleNotFoundError, TypeError, ValueError) as error:
        raise UsageError(f"Lightning's trainer is refused here: {error}") from error
