"""How much each step of tuning does."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from agelens.errors import UsageError
from agelens.training.tuning.space import Space


@dataclass(frozen=True, slots=True, kw_only=True)
class TuningPlan:
    """The sizes of the steps.

    Args:
        overfit_samples: to learn by heart.
        overfit_steps: of the optimiser, at each of at most three rates.
        sweep_steps: of the optimiser, at each of nine rates.
        grid_epochs: of each of the grid's twelve trials.
        trials: of a search in place of sweep and grid; 0 is none.
        trial_epochs: of each trial of a search.
        space: what a search changes; rate and decay where None.
        long_run: train with the best at the end.

    Raises:
        UsageError: a number below 1.
    """

    overfit_samples: int = 32
    overfit_steps: int = 300
    sweep_steps: int = 60
    grid_epochs: int = 3
    trials: int = 0
    trial_epochs: int = 5
    space: Space | None = None
    long_run: bool = True

    def __post_init__(self) -> None:
        sizes = (self.overfit_samples, self.overfit_steps, self.sweep_steps)
        if min(*sizes, self.grid_epochs, self.trial_epochs) < 1 or self.trials < 0:
            raise UsageError(f"steps, samples, epochs and trials are whole numbers from 1: {self}")

    def to_json(self) -> dict[str, Any]:
        """Plain types: what a resumed tuning must agree with. More trials may follow."""
        plain = asdict(self)
        plain["space"] = None if self.space is None else {k: repr(v) for k, v in self.space.items()}
        plain["trials"] = self.trials > 0
        del plain["long_run"]
        return plain
