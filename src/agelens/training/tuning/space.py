"""What a search may change, and between which limits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, TypeAlias

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from agelens.errors import UsageError
from agelens.foreign_files import parse_yaml

Space: TypeAlias = Mapping[str, BaseDistribution]
"""What a trial may take, by dotted key of the configuration."""


def number_range(low: float, high: float, *, log: bool = False) -> BaseDistribution:
    """Numbers from `low` to `high`, whole ones where both are; evenly in their logarithm or not.

    Raises:
        UsageError: the limits are not ascending, or not above 0 for a logarithm.
    """
    if not low < high or (log and low <= 0):
        raise UsageError(
            f"a range needs limits that ascend, above 0 for a logarithm: {low} to {high}"
        )
    if isinstance(low, int) and isinstance(high, int):
        return IntDistribution(low, high, log=log)
    return FloatDistribution(low, high, log=log)


def rate_and_decay(lr: float) -> Space:
    """Learning rates within a factor of 30 of `lr`, weight decays of 1e-6 to 0.1."""
    return {
        "optimizer.lr": number_range(lr / 30, lr * 30, log=True),
        "optimizer.weight_decay": number_range(1e-6, 1e-1, log=True),
    }


def parse_space(words: Sequence[str]) -> Space:
    """The space of ``KEY=LOW:HIGH``, ``KEY=LOW:HIGH:log`` and ``KEY=VALUE,VALUE,...``.

    Raises:
        UsageError: a word is none of these.
    """
    space: dict[str, BaseDistribution] = {}
    for word in words:
        key, equals, values = word.partition("=")
        if not equals or not key or not values:
            raise UsageError(
                f"what to search is KEY=LOW:HIGH, KEY=LOW:HIGH:log or KEY=VALUE,VALUE; got {word!r}"
            )
        space[key] = _range(word, values.split(":")) if ":" in values else _choice(values)
    return space


def _range(word: str, parts: Sequence[str]) -> BaseDistribution:
    low, high = (_number(part) for part in parts[:2])
    if low is None or high is None or list(parts[2:]) not in ([], ["log"]):
        raise UsageError(f"a range is LOW:HIGH or LOW:HIGH:log of numbers, got {word!r}")
    return number_range(low, high, log=len(parts) == 3)


def _number(text: str) -> float | None:
    """Whole where it is written so; YAML would take 1e-3 for a word."""
    try:
        return int(text)
    except ValueError:
        pass
    try:
        return float(text)
    except ValueError:
        return None


def _choice(values: str) -> CategoricalDistribution:
    plain = (_number(value) for value in values.split(","))
    return CategoricalDistribution(
        tuple(
            parse_yaml(text, "a choice", UsageError) if number is None else number
            for number, text in zip(plain, values.split(","), strict=True)
        )
    )


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
