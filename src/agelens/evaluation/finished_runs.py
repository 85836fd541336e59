"""Finished runs as evaluation takes them: their folders read, without torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import yaml

from agelens.errors import TrainingError, UsageError
from agelens.foreign_files import decoding, json_object, read_yaml

if TYPE_CHECKING:
    from agelens.tables import PredictionsTable

CONFIG: Final = "config.yaml"
TEST: Final = "test"
_FACTS: Final = ("summary", "data")
_OWN_PARTS: Final = ("valid", TEST)
_BETWEEN: Final = "-_. "


@dataclass(frozen=True, slots=True)
class FinishedRun:
    """A finished run: `config` is what it was trained by, `recipe` that without the seed."""

    folder: Path
    seed: int
    recipe: str
    config: dict[str, Any]
    summary: dict[str, Any]
    data: dict[str, Any]

    @property
    def name(self) -> str:
        """Its folder's name."""
        return self.folder.resolve().name

    @property
    def remarks(self) -> list[str]:
        """Leaks and notes of its split."""
        split = self.data["split"]
        leaks = [f"leak in its split: {leak}" for leak in split.get("leaks", [])]
        return [*leaks, *split.get("notes", [])]

    def test_predictions(self) -> list[PredictionsTable]:
        """Its predictions of each test, every row of some part.

        Raises:
            UsageError: it has none.
        """
        files = sorted(self.folder.glob("predictions-test*.parquet"))
        if not files:
            raise UsageError(
                f"{self.folder} has no test predictions: its split has no test part. Name a "
                "chip store to try it on (agelens compare --on STORE)"
            )
        return [_read_part(file, TEST) for file in files]

    def predictions(self, part: str) -> PredictionsTable:
        """Its predictions of one part: ``valid``, ``test``, or a further test's name.

        Raises:
            UsageError: it left none of that part.
        """
        name = part if part in _OWN_PARTS else f"test-{part}"
        file = self.folder / f"predictions-{name}.parquet"
        if not file.is_file():
            left = [path.stem for path in sorted(self.folder.glob("predictions-*.parquet"))]
            parts = [one.removeprefix("predictions-").removeprefix("test-") for one in left]
            raise UsageError(
                f"{self.folder} has no predictions of part {part!r}; parts: "
                f"{', '.join(parts) or 'none'}. agelens predict --model {self.folder} makes others"
            )
        return _read_part(file, TEST if name != "valid" else name)


def run_folder(given: object) -> Path | None:
    """The folder of the run that `given` is, a path or an `agelens.training.Run`; else None."""
    place = getattr(given, "folder", given)
    if not isinstance(place, str | Path):
        return None
    return Path(place) if (Path(place) / CONFIG).is_file() else None


def finished_run(path: Path) -> FinishedRun:
    """The finished run in the folder `path`.

    Raises:
        UsageError: there is no run, or it is not finished.
        TrainingError: one of its files is damaged.
    """
    stored = path / CONFIG
    if not stored.is_file():
        raise UsageError(f"{path} holds no run of agelens train: it has no {CONFIG}")
    if not (path / "summary.json").is_file():
        raise UsageError(
            f"the run in {path} is not finished (it has no summary.json): "
            f"agelens train --resume {path}"
        )
    config = read_yaml(stored, TrainingError)
    with decoding(stored, "the configuration of a run", TrainingError):
        seed = int(config["seed"])
        unseeded = {name: value for name, value in config.items() if name != "seed"}
        recipe = yaml.safe_dump(unseeded, sort_keys=True)
    summary, data = (json_object(path / f"{name}.json", TrainingError) for name in _FACTS)
    return FinishedRun(path, seed, recipe, config, summary, data)


def model_names(runs: Sequence[FinishedRun]) -> list[str]:
    """A name for each run, in order: runs of one recipe have one name, what theirs begin with.

    Raises:
        UsageError: two recipes would have one name.
    """
    by_recipe: dict[str, list[str]] = {}
    for run in runs:
        by_recipe.setdefault(run.recipe, []).append(run.name)
    names = {recipe: _shared(found) for recipe, found in by_recipe.items()}
    if len(set(names.values())) < len(names):
        names = {recipe: found[0] for recipe, found in by_recipe.items()}
    if len(set(names.values())) < len(names):
        raise UsageError(
            f"runs of different configurations have the same name: {', '.join(names.values())}. "
            "Rename a folder, or name them apart (agelens compare NAME=RUN)"
        )
    return [names[run.recipe] for run in runs]


def _shared(names: Sequence[str]) -> str:
    """As ``dldl`` of dldl-seed0 and dldl-seed1."""
    if len(names) == 1:
        return names[0]
    least, greatest = min(names), max(names)
    alike = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(least, greatest)))  # noqa: B905
    start = least[:alike].rstrip(_BETWEEN)
    return start.removesuffix("seed").rstrip(_BETWEEN) or names[0]


def _read_part(file: Path, part: str) -> PredictionsTable:
    """Rows that do not say their part are of the one that the file's name says."""
    from agelens.tables import PredictionsTable, read_predictions  # noqa: PLC0415 - pandas

    table = read_predictions(file)
    split = table.frame["split"].astype(object)
    frame = table.frame.assign(split=split.where(split.notna(), part))
    return PredictionsTable(frame, table.distribution, table.scale)
