"""Checkpoints: written whole, read without running what they may hold, refused by another run."""

from __future__ import annotations

import hashlib
import io
import re
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Checkpoint
from pytorch_lightning.plugins.io import CheckpointIO
from torch import Tensor

from agelens.atomic import write_atomically
from agelens.data.age_data import AgeData
from agelens.data.splits.resolve_split import TRAIN
from agelens.data.store import ChipStore
from agelens.data.store.card import CARD_NAME
from agelens.data.training_input.batches import SplitDataset
from agelens.errors import TrainingError, UsageError
from agelens.models.backbones.weights import read_pickle
from agelens.tables import SampleTable
from agelens.training.age_module import STATE
from agelens.training.epoch_metrics import EpochResults
from agelens.training.run_folder import RunFolder


class AtomicCheckpoints(CheckpointIO):
    """Lightning's checkpoints as files that hold tensors and plain types, and nothing else."""

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None
    ) -> None:
        """Write by a temporary file, then rename.

        Raises:
            OutputError: it cannot be written; the checkpoint that was there is kept.
        """
        del storage_options
        content = io.BytesIO()
        torch.save(checkpoint, content)
        write_atomically(Path(path), content.getvalue())

    def load_checkpoint(
        self, path: Any, map_location: Any = None, weights_only: bool | None = None
    ) -> dict[str, Any]:
        """See `read_checkpoint`; `weights_only` is always on."""
        del weights_only
        return read_checkpoint(Path(path), map_location)

    def remove_checkpoint(self, path: Any) -> None:
        """Delete the file."""
        Path(path).unlink(missing_ok=True)


def read_checkpoint(path: Path, map_location: Any = "cpu") -> dict[str, Any]:
    """The checkpoint at `path`, of tensors and plain types.

    Raises:
        TrainingError: it is absent, damaged, or holds anything else: a pickle can run code
            when it is loaded, so those are refused.
    """
    way_out = "Put back the one that this run wrote, or start a new run"
    checkpoint = read_pickle(path, TrainingError, way_out, map_location)
    if not isinstance(checkpoint, dict) or "state_dict" not in checkpoint:
        raise TrainingError(f"{path} is no checkpoint of a training run")
    return checkpoint


def model_weights(checkpoint: dict[str, Any]) -> dict[str, Tensor]:
    """Weights and buffers of the `AgeModel` in a checkpoint, by their names in it."""
    prefix = "model."
    return {
        name.removeprefix(prefix): value
        for name, value in checkpoint["state_dict"].items()
        if name.startswith(prefix)
    }


class RunCheckpoints(Checkpoint):
    """Keeps the run's last and best state.

    `last` comes after each epoch, and where asked for between; `best` when an epoch
    validated better than all before. Both hold all that resuming needs.

    Args:
        folder: of the run.
        every_epochs: how many epochs pass between two `last`.
        every_steps: also keep `last` after so many steps of the optimiser, so that a long
            epoch is not lost as a whole.

    Raises:
        UsageError: a number below 1.
    """

    def __init__(
        self, folder: RunFolder, *, every_epochs: int = 1, every_steps: int | None = None
    ) -> None:
        if every_epochs < 1 or (every_steps is not None and every_steps < 1):
            raise UsageError(
                f"checkpoints come every 1 or more epochs or steps, got {every_epochs}, "
                f"{every_steps}"
            )
        self.folder = folder
        self.every_epochs = every_epochs
        self.every_steps = every_steps
        self._saved_step = -1

    def on_train_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Save between epochs, where gradients are not just being accumulated."""
        del pl_module, outputs, batch
        # The last batch belongs to the epoch's end, where validation is done as well.
        last = batch_idx + 1 >= int(trainer.num_training_batches)
        step = trainer.global_step
        if self.every_steps is None or last or step % self.every_steps or step == self._saved_step:
            return
        if (batch_idx + 1) % trainer.accumulate_grad_batches == 0:
            self._save(trainer, self.folder.last)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Save after validation, the best first: `last` then knows of it."""
        if not isinstance(pl_module, EpochResults):
            raise TypeError(f"{type(pl_module)} does not say how its epochs went")
        if pl_module.improved:
            self._save(trainer, self.folder.best)
        done = trainer.current_epoch + 1
        final = done == trainer.max_epochs or trainer.should_stop
        if done % self.every_epochs == 0 or final:
            self._save(trainer, self.folder.last)

    def _save(self, trainer: pl.Trainer, path: Path) -> None:
        self._saved_step = trainer.global_step
        trainer.save_checkpoint(path, weights_only=False)


_HASHED_AT_ONCE: Final = 100_000
_HASH: Final = re.compile("[0-9a-f]{64}")


def data_identity(data: AgeData) -> dict[str, Any]:
    """Plain types: of each store, its card's hash; of each part, its samples' and labels'.

    A store's card holds the hashes of its shards, so that one hash stands for all chips.
    """
    return {
        "stores": {str(place): card_hash(store) for place, store in enumerate(data.stores)},
        "split": {
            "name": data.split.name,
            "protocol": data.split.protocol,
            "seed": data.split.seed,
        },
        "parts": {name: _part(part) for name, part in data.parts.items()},
    }


def data_description(data: AgeData) -> dict[str, Any]:
    """The identity with what people want to know: folders, counts, what was left out."""
    identity = data_identity(data)
    parts = {
        name: {
            **identity["parts"][name],
            "left_out": part.left_out,
            "datasets": label_counts(part.table, "dataset"),
            "age_kinds": label_counts(part.table, "age_kind"),
            "age_years": {
                "least": float(part.age_years.min()),
                "mean": float(part.age_years.mean()),
                "greatest": float(part.age_years.max()),
            },
        }
        for name, part in data.parts.items()
    }
    stores = [
        {
            "folder": str(store.folder),
            "card_sha256": card_hash(store),
            "settings": dict(store.card.settings),
        }
        for store in data.stores
    ]
    split = {**identity["split"], "notes": list(data.split.notes), "leaks": data.leaks}
    transform = data.transform
    ages, counts = np.unique(data.parts[TRAIN].age_years.numpy(), return_counts=True)
    words = {name: list(known) for name, known in data.words.items()}
    return {
        "stores": stores,
        "split": split,
        "parts": parts,
        "words": words,
        "train_ages": {"years": ages.tolist(), "samples": counts.tolist()},
        "input": {
            "size": transform.size,
            "resized": transform.resized,
            "mean": transform.mean,
            "std": transform.std,
        },
        "notes": data.notes,
    }


def config_diff(before: Any, now: Any, where: str = "") -> list[str]:
    """What differs between two nests of plain types, one line each, named by dotted path."""
    if isinstance(before, dict) and isinstance(now, dict):
        return [
            line
            for name in dict.fromkeys([*before, *now])
            for line in config_diff(
                before.get(name), now.get(name), f"{where}.{name}" if where else str(name)
            )
        ]
    if before == now:
        return []
    return [f"{where}: there {_shown(before)}, now {_shown(now)}"]


def _shown(value: Any) -> str:
    """`value`, of a hash the beginning: nobody compares more by eye."""
    is_hash = isinstance(value, str) and _HASH.fullmatch(value)
    return f"{value[:12]}..." if is_hash else repr(value)


def _part(part: SplitDataset) -> dict[str, Any]:
    frame = part.table.frame
    labels = frame[["age_years", "age_std", "gender", "ethnicity"]]
    return {
        "samples": len(part),
        "samples_sha256": frame_hash(frame[["sample_id"]]),
        "labels_sha256": frame_hash(labels),
    }


def frame_hash(frame: pd.DataFrame) -> str:
    """Of all values, row by row; categories count by their words."""
    digest = hashlib.sha256()
    for start in range(0, len(frame), _HASHED_AT_ONCE):
        rows = frame.iloc[start : start + _HASHED_AT_ONCE]
        hashes = pd.util.hash_pandas_object(rows, index=False, categorize=False)
        digest.update(hashes.to_numpy().tobytes())
    return digest.hexdigest()


def card_hash(store: ChipStore) -> str:
    """Of the card of `store`, which holds the hashes of its shards."""
    return hashlib.sha256((store.folder / CARD_NAME).read_bytes()).hexdigest()


def label_counts(table: SampleTable, column: str) -> dict[str, int]:
    """How many rows have each word of a column."""
    counts = table.frame[column].value_counts()
    return {str(word): int(count) for word, count in counts.items() if count}


_MAY_CHANGE: Final = {
    "data": ("stores", "table", "tests", "workers", "verify", "eval_batch_size"),
    "trainer": (
        *("accelerator", "strategy", "devices", "num_nodes"),
        *("log_every_n_steps", "benchmark", "detect_anomaly"),
    ),
    "checkpoints": ("every_epochs", "every_steps"),
}
"""Where the data lie is told by their hashes; on how many devices is no one's matter."""


def can_resume(folder: RunFolder, identity: dict[str, Any]) -> bool:
    """Whether `folder` has a checkpoint to go on from, and it is of the run `identity`.

    Raises:
        UsageError: it is another run's; the message says what differs.
        TrainingError: it is damaged or unsafe to read.
    """
    if not folder.last.is_file():
        return False
    there = read_checkpoint(folder.last).get(STATE, {}).get("identity")
    changed = config_diff(there, identity)
    if changed:
        raise UsageError(
            f"{folder.last} is of another run, so it cannot be resumed: "
            f"{'; '.join(changed)}. Give back what it was trained with, or start a new run with -o"
        )
    return True


def check_same_config(folder: RunFolder, config: dict[str, Any]) -> None:
    """Check that the run in `folder` was begun with `config`, but for what may change.

    Raises:
        UsageError: it was not; the message says what differs.
        TrainingError: its configuration cannot be read.
    """
    there = folder.read_config()
    if changed := config_diff(resume_identity(there), resume_identity(config), "config"):
        raise UsageError(
            f"{folder.path} holds a run with another configuration: {'; '.join(changed)}. Give "
            "back what it was begun with, or start a new run in a new folder"
        )


def resume_identity(config: dict[str, Any]) -> dict[str, Any]:
    """`config` without what may change between two parts of one run."""
    return {
        group: {name: value for name, value in values.items() if name not in _MAY_CHANGE[group]}
        if group in _MAY_CHANGE
        else values
        for group, values in config.items()
    }
