"""Tuning: five steps from an untrained network to a long run, one folder, one report."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import yaml

from agelens.atomic import write_json
from agelens.errors import UsageError
from agelens.progress import Progress, ProgressBars
from agelens.training.engine import train_in
from agelens.training.run_folder import RunFolder
from agelens.training.training_loop import Training
from agelens.training.tuning.checks import overfit, untrained_loss
from agelens.training.tuning.report import write_report
from agelens.training.tuning.search import (
    DECAY,
    LR,
    best_rate,
    fill_grid,
    grid_decays,
    grid_rates,
    search,
    sweep_rates,
)
from agelens.training.tuning.space import TuningPlan, rate_and_decay
from agelens.training.tuning.trials import RunFactory, TuningFolder

_STEPS: Final = 4
"""Before the long run."""
_ONE_DEVICE: Final = ("auto", "1", 1)


def tune(
    config: Mapping[str, Any],
    folder: Path,
    plan: TuningPlan,
    *,
    tell: Callable[[str], None] = lambda _: None,
    bars: ProgressBars | None = None,
    quiet: bool = False,
) -> dict[str, Any]:
    """Find learning rate and weight decay, then train with them; returns the values found.

    Each step is written down before the next begins: the loss of the untrained network
    beside what it has to be; learning a few samples by heart; a sweep of learning rates, then
    a grid of rates by decays, or a search in place of both; the long run. All is judged on
    the valid part; only the long run looks at the test parts, once, at its end.

    Args:
        config: a whole configuration in plain types.
        folder: new; or one of the same configuration and data, which is resumed.
        plan: how much each step does.
        tell: is given a line for each step.
        bars: show which step is on, and below it which trial.
        quiet: show no progress of the long run.

    Raises:
        UsageError: the folder is of something else; several devices are asked for.
        TrainingError: every trial of a step blew up.
        OutputError: the folder cannot be written.
    """
    devices = config["trainer"].get("devices", 1)
    if devices not in _ONE_DEVICE or config["trainer"].get("num_nodes", 1) != 1:
        raise UsageError(
            f"tuning trains on one device, the configuration asks for {devices} of them: take "
            "--trainer.devices 1, then train on many with what was found (a batch stays a batch)"
        )
    shown = bars or ProgressBars("tuning")
    return _Tuning(config, TuningFolder(folder), plan, tell, shown, quiet=quiet).run()


class _Tuning:
    def __init__(
        self,
        config: Mapping[str, Any],
        folder: TuningFolder,
        plan: TuningPlan,
        tell: Callable[[str], None],
        bars: ProgressBars,
        *,
        quiet: bool,
    ) -> None:
        self.make = RunFactory(config)
        self.folder = folder
        self.plan = plan
        self.tell = tell
        self.bars = bars
        self.steps = _STEPS + plan.long_run
        self.step = 0
        self.quiet = quiet
        self.lr = float(self.make.value("optimizer.lr"))

    def run(self) -> dict[str, Any]:
        self._check_start()
        self._learn_by_heart()
        found = self._search() if self.plan.trials else self._sweep_and_grid()
        write_json(self.folder.path / "best.json", found)
        self.tell(f"found {', '.join(f'{key} {_short(value)}' for key, value in found.items())}")
        if self.plan.long_run:
            self._train_long(found)
        write_report(self.folder)
        return found

    @contextmanager
    def _trials(self, what: str, of: str) -> Iterator[Progress]:
        self.bars(self.step, self.steps, what)
        with self.bars.below(of) as trial:
            yield trial

    def _check_start(self) -> None:
        """Step 1, with the one check of the data's hashes."""
        self.bars(0, self.steps, "the untrained loss")
        training = Training(self.make(), RunFolder(self.folder.run.path), quiet=True)
        identity = {**training.identity, "plan": self.plan.to_json()}
        self.folder.claim(identity)
        if not self.folder.untrained.is_file():
            loss = untrained_loss(training)
            write_json(self.folder.untrained, {**asdict(loss), "as_expected": loss.as_expected})
        found = self.folder.run.read(self.folder.untrained)
        self._done(
            f"1. untrained loss {found['measured']:.4g}, expected {found['expected']:.4g}"
            f"{'' if found['as_expected'] else ': far apart, see the report'}"
        )

    def _learn_by_heart(self) -> None:
        plan = self.plan
        with self._trials("learning by heart", "rates") as trial:
            curves = overfit(
                self.make,
                self.folder.study,
                samples=plan.overfit_samples,
                steps=plan.overfit_steps,
                progress=trial,
            )
        self.folder.write("overfit", curves)
        least = curves["mae_years"].min()
        self._done(f"2. error on {plan.overfit_samples} samples learnt alone: {least:.2f} years")

    def _sweep_and_grid(self) -> dict[str, Any]:
        make, file = self.make, self.folder.study
        with self._trials("sweep of learning rates", "rates") as trial:
            sweep = sweep_rates(make, file, steps=self.plan.sweep_steps, progress=trial)
        self.folder.write("sweep", sweep)
        best = best_rate(sweep)
        self._done(f"3. the loss fell furthest at a learning rate of {best:.3g}")
        rates, decays = grid_rates(best), grid_decays(make.value(DECAY))
        with self._trials("grid of rates and decays", "trials") as trial:
            study = fill_grid(
                make, file, rates, decays, epochs=self.plan.grid_epochs, progress=trial
            )
        grid = study.table().rename(columns={LR: "lr", DECAY: "weight_decay"})
        self.folder.write("grid", grid)
        self._done(f"4. grid of {len(grid)}: least MAE {grid['mae_years'].min():.3f} years")
        return study.best

    def _search(self) -> dict[str, Any]:
        plan = self.plan
        with self._trials("search", "trials") as trial:
            study = search(
                self.make,
                self.folder.study,
                plan.space or rate_and_decay(self.lr),
                trials=plan.trials,
                epochs=plan.trial_epochs,
                seed=self.make.value("seed"),
                progress=trial,
            )
        self.step += 1  # it stands for two
        table = study.table()
        self.folder.write("search", table)
        pruned = (table["state"] == "pruned").sum()
        self._done(f"3, 4. search: {len(table)} trials, {pruned} of them given up early")
        return study.best

    def _train_long(self, found: Mapping[str, Any]) -> None:
        self.bars(self.step, self.steps, "the long run")
        place, run = self.folder.run, self.make(found)
        text = str(yaml.safe_dump(run.config, sort_keys=False, allow_unicode=True))
        with self.bars.hidden():
            done = train_in(place, run, text, quiet=self.quiet, export=False)
        self._done(f"5. the long run: valid MAE {done.metrics['valid']['mae']:.3f} years")

    def _done(self, line: str) -> None:
        self.step += 1
        self.bars(self.step, self.steps)
        self.tell(line)
        write_report(self.folder)


def _short(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
