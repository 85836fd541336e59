"""Which settings make a run the run it is, and which may change when it is resumed."""

from __future__ import annotations

from typing import Any, Final

_MAY_CHANGE: Final = {
    "data": ("stores", "table", "tests", "workers", "verify", "eval_batch_size"),
    "trainer": (
        *("accelerator", "strategy", "devices", "num_nodes"),
        *("log_every_n_steps", "benchmark", "detect_anomaly"),
    ),
    "checkpoints": ("every_epochs", "every_steps"),
}
"""Where the data lie is told by their hashes; on how many devices is no one's matter."""


def same_run(config: dict[str, Any]) -> dict[str, Any]:
    """`config` without what may change between two parts of one run."""
    return {
        group: {name: value for name, value in values.items() if name not in _MAY_CHANGE[group]}
        if group in _MAY_CHANGE
        else values
        for group, values in config.items()
    }
