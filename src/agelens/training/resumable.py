"""Which settings make a run the run it is, and which may change when it is resumed."""

from __future__ import annotations

from typing import Any, Final

from agelens.errors import UsageError
from agelens.training.age_module import STATE
from agelens.training.checkpoints import read_checkpoint
from agelens.training.data_identity import differences
from agelens.training.run_folder import RunFolder

_MAY_CHANGE: Final = {
    "data": ("stores", "table", "tests", "workers", "verify", "eval_batch_size"),
    "trainer": (
        *("accelerator", "strategy", "devices", "num_nodes"),
        *("log_every_n_steps", "benchmark", "detect_anomaly"),
    ),
    "checkpoints": ("every_epochs", "every_steps"),
}
"""Where the data lie is told by their hashes; on how many devices is no one's matter."""


def is_begun(folder: RunFolder, identity: dict[str, Any]) -> bool:
    """Whether `folder` has a checkpoint to go on from, and it is of the run `identity`.

    Raises:
        UsageError: it is another run's; the message says what differs.
        TrainingError: it is damaged or unsafe to read.
    """
    if not folder.last.is_file():
        return False
    there = read_checkpoint(folder.last).get(STATE, {}).get("identity")
    changed = differences(there, identity)
    if changed:
        raise UsageError(
            f"{folder.last} is of another run, so it cannot be gone on with: "
            f"{'; '.join(changed)}. Give back what it was trained with, or start a new run with -o"
        )
    return True


def same_run(config: dict[str, Any]) -> dict[str, Any]:
    """`config` without what may change between two parts of one run."""
    return {
        group: {name: value for name, value in values.items() if name not in _MAY_CHANGE[group]}
        if group in _MAY_CHANGE
        else values
        for group, values in config.items()
    }
