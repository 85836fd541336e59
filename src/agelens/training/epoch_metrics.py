"""Figures of an epoch, of validation and training, and which epoch is the best by them."""

from __future__ import annotations

import csv
import io
import itertools
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Literal, Protocol, TypeAlias, TypeVar, runtime_checkable

import numpy as np
import pytorch_lightning as pl
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, distributed

from agelens.atomic import write_atomically
from agelens.errors import UnknownNameError, UsageError
from agelens.evaluation.metrics.errors import bias, ca_at, cs_at, mae
from agelens.inference.answers import OutputSpec, likeliest_words, read_answers
from agelens.recorded import Recorded
from agelens.records import Floats


class TimeShare(pl.Callback):
    """Seconds of forward, backward and step, beside those of whole epochs without validation.

    `seconds` and `model_seconds` are of all epochs of this process and of those that it
    resumed. The first epoch's first step is left out of both: it pays for warming up. On a
    GPU both are the host's: waiting for data shows as a low share, but where the host waits
    for the device is a matter of chance.
    """

    def __init__(self) -> None:
        self.seconds = 0.0
        self.model_seconds = 0.0
        self._mark = 0.0
        self._step = 0.0
        self._cold = True

    @property
    def share(self) -> float:
        """Of the model, 0 to 1; NaN before the second step."""
        return self.model_seconds / self.seconds if self.seconds else float("nan")

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """The first batch is waited for from here on."""
        del trainer, pl_module
        self._mark = time.perf_counter()

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """A step begins."""
        del trainer, pl_module, batch, batch_idx
        self._step = time.perf_counter()
        self._mark = self._mark or self._step  # resumed within an epoch, whose start was before

    def on_train_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """A step is done."""
        del trainer, pl_module, outputs, batch, batch_idx
        now = time.perf_counter()
        if not self._cold:
            self.model_seconds += now - self._step
            self.seconds += now - self._mark
        self._cold = False
        self._mark = now

    def state_dict(self) -> dict[str, Any]:
        """Both sums."""
        return {"seconds": self.seconds, "model_seconds": self.model_seconds}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take up the sums."""
        self.seconds = state_dict["seconds"]
        self.model_seconds = state_dict["model_seconds"]


@runtime_checkable
class EpochResults(Protocol):
    """A module that says how an epoch went.

    `metrics` has the epoch's figures by name, `improved` says whether it is the best so far.
    """

    metrics: dict[str, float]
    improved: bool


class EpochHistory(pl.Callback):
    """Keeps each epoch's metrics with its number, its steps and its seconds.

    `rows` are plain dictionaries; later ones may have further columns.

    Args:
        path: of the CSV file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rows: list[dict[str, float]] = []
        self._begun = 0.0
        self._before = 0.0

    @property
    def seconds(self) -> float:
        """Of all epochs, validation included."""
        return sum(row["seconds"] for row in self.rows)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Time runs from here where a run is resumed within an epoch."""
        del trainer, pl_module
        self._begun = time.perf_counter()

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Time runs from here."""
        del trainer, pl_module
        self._begun, self._before = time.perf_counter(), 0.0

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """The epoch is trained and validated."""
        if not isinstance(pl_module, EpochResults):
            raise TypeError(f"{type(pl_module)} does not say how its epochs went")
        row: dict[str, float] = {"epoch": trainer.current_epoch, "step": trainer.global_step}
        self.rows.append({**row, **pl_module.metrics, "seconds": round(self._so_far(), 3)})
        if trainer.is_global_zero:
            self._write()

    def state_dict(self) -> dict[str, Any]:
        """The rows, and the seconds of an epoch that is not over."""
        return {"rows": self.rows, "before": self._so_far()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take up the rows."""
        self.rows = list(state_dict["rows"])
        self._before = state_dict["before"]

    def _so_far(self) -> float:
        return self._before + time.perf_counter() - self._begun

    def _write(self) -> None:
        names = dict.fromkeys(name for row in self.rows for name in row)
        text = io.StringIO()
        writer = csv.DictWriter(text, list(names), lineterminator="\n")
        writer.writeheader()
        writer.writerows(self.rows)
        write_atomically(self.path, text.getvalue().encode())


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


_WAITING: Final = 32


class TrainingErrors:
    """MAE and CS@5 of the training batches of an epoch, as the network answered while it learned.

    Of augmented chips, before each step and with dropout: what authors print beside the loss.
    Answers wait for each other, so that no step waits for a device; each batch is summed by
    itself, so that a resumed epoch has the same figures.

    Args:
        spec: what an answer's numbers are.
    """

    def __init__(self, spec: OutputSpec) -> None:
        self._spec = spec
        self._waiting: list[tuple[Tensor, Tensor]] = []
        self._sums = [0.0, 0.0, 0.0]

    def add(self, answers: Tensor, age_years: Tensor) -> None:
        """`answers` [B, width] to samples of `age_years` [B]."""
        self._waiting.append((answers.detach(), age_years))
        if len(self._waiting) >= _WAITING:
            self._reckon()

    def means(self) -> dict[str, float]:
        """`mae` in years and `cs5` as a share over all processes, since last asked for."""
        self._reckon()
        mine, self._sums = self._sums, [0.0, 0.0, 0.0]
        samples, errors, small = (sum(one) for one in zip(*all_gather_objects(mine), strict=True))
        return {"mae": errors / samples, "cs5": small / samples} if samples else {}

    def _reckon(self) -> None:
        for answers, age_years in self._waiting:
            rows = answers.double().cpu().numpy()
            sound = np.isfinite(rows).all(axis=1)  # the rest is the loss's to complain about
            estimates = read_answers(rows[sound], self._spec).estimate_years
            errors = np.abs(estimates - age_years.double().cpu().numpy()[sound])
            found = (int(sound.sum()), float(errors.sum()), int((errors <= 5).sum()))
            self._sums = [total + more for total, more in zip(self._sums, found, strict=True)]
        self._waiting.clear()

    def state_dict(self) -> dict[str, Any]:
        """Numbers alone."""
        self._reckon()
        return {"sums": list(self._sums)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take up what `state_dict` gave."""
        self._waiting.clear()
        self._sums = list(state["sums"])


def told_accuracies(
    probabilities: Floats, told: Mapping[str, Sequence[str]], codes: Mapping[str, NDArray[np.int64]]
) -> dict[str, float]:
    """Shares of right words over the samples that have one, as ``gender_accuracy``.

    Args:
        probabilities: [N, words of all columns] in the order of `told`.
        told: the words of each column.
        codes: [N] by column: places among its words, below 0 where the label is unknown.
    """
    likeliest = likeliest_words(probabilities, told)
    return {
        f"{column}_accuracy": float((likeliest[column][0] == codes[column])[known].mean())
        for column in told
        if (known := codes[column] >= 0).any()
    }


SelectionMetric = Literal["mae", "ca3"]
_SIGNS: Final = {"mae": 1.0, "ca3": -1.0}


class Selection(Recorded):
    """The best epoch by a validation metric.

    Args:
        metric: ``mae`` in years, the smaller the better; or ``ca3``, the share of errors of
            at most 3 years, the larger the better (as MegaAge is judged).
        patience: stop after so many epochs in a row without a better one; never if None.
        gain: an epoch is better if it is by more than this.

    Raises:
        UnknownNameError: another metric.
        UsageError: a patience below 1 or a gain below 0.
    """

    def __init__(
        self, metric: SelectionMetric = "mae", *, patience: int | None = None, gain: float = 0.0
    ) -> None:
        if metric not in _SIGNS:
            raise UnknownNameError("metric to select by", metric, _SIGNS)
        if (patience is not None and patience < 1) or gain < 0:
            raise UsageError(
                f"patience is 1 epoch or more and gain at least 0, got {patience}, {gain}"
            )
        self.metric = metric
        self.patience = patience
        self.gain = gain
        self.best_cost = float("inf")
        self.best_epoch = -1

    def cost(self, metrics: Mapping[str, float]) -> float:
        """The metric with the sign that makes less better."""
        return _SIGNS[self.metric] * metrics[self.metric]

    def observe(self, epoch: int, metrics: Mapping[str, float]) -> bool:
        """Whether `epoch` is the best so far."""
        cost = self.cost(metrics)
        better = cost < self.best_cost - self.gain
        if better:
            self.best_cost, self.best_epoch = cost, epoch
        return better

    def is_over(self, epoch: int) -> bool:
        """Whether patience has run out with `epoch`."""
        return self.patience is not None and epoch - self.best_epoch >= self.patience

    def state_dict(self) -> dict[str, Any]:
        """Plain numbers."""
        return {"best_cost": self.best_cost, "best_epoch": self.best_epoch}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take up what `state_dict` gave."""
        self.best_cost, self.best_epoch = state["best_cost"], state["best_epoch"]
