"""The figures of one validation."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias, TypeVar

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor, distributed

from agelens.evaluation.metrics.errors import bias, ca_at, cs_at, mae
from agelens.records import Floats

_FIRST_YEARS: Final = (0, 10, 20, 30, 40, 50, 60, 70)
BANDS: Final = (
    *(f"{low}-{high - 1}" for low, high in itertools.pairwise(_FIRST_YEARS)),
    f"{_FIRST_YEARS[-1]}+",
)
"""Names of the bands, by completed years."""


def band_maes(estimate_years: ArrayLike, age_years: ArrayLike) -> dict[str, float]:
    """The MAE in years within each band of true age that has a sample, as ``mae/20-29``."""
    estimates, ages = (np.asarray(years, dtype=np.float64) for years in (estimate_years, age_years))
    band = np.digitize(ages, _FIRST_YEARS[1:])
    return {
        f"mae/{name}": mae(estimates[band == place], ages[band == place])
        for place, name in enumerate(BANDS)
        if (band == place).any()
    }


Value = TypeVar("Value")


def all_gather_objects(mine: Value) -> list[Value]:
    """The value of every process of the run, in their order; of one process, its own.

    Every process has to call it, with a value that can be pickled.
    """
    if not (distributed.is_available() and distributed.is_initialized()):
        return [mine]
    gathered = [mine] * distributed.get_world_size()
    distributed.all_gather_object(gathered, mine)
    return gathered


class PredictionGatherer:
    """Answers as batches bring them, put in the order of the part when all are there.

    Args:
        samples: of the part.
        width: numbers an answer.
    """

    def __init__(self, samples: int, width: int) -> None:
        self.samples = samples
        self.width = width
        self._answers: list[Tensor] = []
        self._rows: list[Tensor] = []

    def add(self, answers: Tensor, rows: Tensor) -> None:
        """`answers` [B, width] to the samples `rows` [B]."""
        self._answers.append(answers.detach().float().cpu())
        self._rows.append(rows.cpu())

    def whole(self) -> Floats:
        """All answers [samples, width], on every process; NaN where there was none.

        What two processes both answered counts once.
        """
        mine = (torch.cat(self._rows).numpy(), torch.cat(self._answers).numpy())
        answers = np.full((self.samples, self.width), np.nan)
        for rows, values in all_gather_objects(mine):
            answers[rows] = values
        return answers


class LossAverager:
    """Sums of terms by part and name (``train/loss``), over samples and not over batches.

    They are tensors until they are asked for, so that no step waits for a device.
    """

    def __init__(self) -> None:
        self._sums: dict[str, Tensor] = {}
        self._samples: dict[str, int] = {}

    def add(self, part: str, terms: Mapping[str, Tensor], samples: int) -> None:
        """`terms` are means over a batch of `samples`."""
        for name, value in terms.items():
            key = f"{part}/{name}"
            self._sums[key] = self._sums.get(key, 0) + value.detach().double() * samples
        self._samples[part] = self._samples.get(part, 0) + samples

    def means(self) -> dict[str, float]:
        """The means of all processes since they were last asked for."""
        mine = ({key: float(total) for key, total in self._sums.items()}, self._samples)
        self._sums, self._samples = {}, {}
        parts = all_gather_objects(mine)
        samples = {part: sum(one[1][part] for one in parts) for part in mine[1]}
        return {
            key: sum(one[0][key] for one in parts) / samples[key.partition("/")[0]]
            for key in mine[0]
        }

    def state_dict(self) -> dict[str, Any]:
        """Tensors and numbers."""
        return {"sums": dict(self._sums), "samples": dict(self._samples)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take up what `state_dict` gave."""
        self._sums, self._samples = dict(state["sums"]), dict(state["samples"])


Metric: TypeAlias = Callable[[Any, Any], float]
"""``f(y_true, y_pred)``: a number of true and estimated ages in years [N], as sklearn has it."""


def validation_metrics(
    estimate_years: ArrayLike, age_years: ArrayLike, further: Mapping[str, Metric] | None = None
) -> dict[str, float]:
    """Figures over all N samples.

    `mae` and `bias` (positive is too old) in years; `cs5` and `ca3` are the shares of errors
    of at most 5 and at most 3 years; `mae/20-29` and the like are of one decade of true age.
    What is `further` to be computed comes by its own name.
    """
    estimates, ages = (np.asarray(years, dtype=np.float64) for years in (estimate_years, age_years))
    return {
        "mae": mae(estimate_years, age_years),
        "bias": bias(estimate_years, age_years),
        "cs5": cs_at(estimate_years, age_years, 5),
        "ca3": ca_at(estimate_years, age_years, 3, convention="at_most"),
        **band_maes(estimate_years, age_years),
        **{name: float(metric(ages, estimates)) for name, metric in (further or {}).items()},
    }
