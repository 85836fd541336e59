"""The folder of a run: what lies where, and whose it is."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from agelens.atomic import is_locked, locked, remove_partials, write_atomically, write_json
from agelens.errors import OutputError, TrainingError, UsageError
from agelens.foreign_files import decoding, json_object, read_yaml

if TYPE_CHECKING:
    import pandas as pd

RunState = Literal["running", "finished", "interrupted", "failed"]


@dataclass(frozen=True, slots=True)
class RunFolder:
    """Names of everything that a run leaves in `path`; `command` is what goes on with it."""

    path: Path
    command: str = "agelens train"

    @property
    def config(self) -> Path:
        """The resolved configuration."""
        return self.path / "config.yaml"

    @property
    def environment(self) -> Path:
        """Versions, processor, threads, seed."""
        return self.path / "environment.json"

    @property
    def data(self) -> Path:
        """Hashes and counts of stores and split."""
        return self.path / "data.json"

    @property
    def metrics(self) -> Path:
        """One row an epoch."""
        return self.path / "metrics.csv"

    @property
    def logs(self) -> Path:
        """TensorBoard's events."""
        return self.path / "logs"

    @property
    def last(self) -> Path:
        """The checkpoint to resume from."""
        return self.path / "checkpoints" / "last.ckpt"

    @property
    def best(self) -> Path:
        """The checkpoint of the epoch that validated best."""
        return self.path / "checkpoints" / "best.ckpt"

    @property
    def weights(self) -> Path:
        """Weights of the best epoch, for use."""
        return self.path / "weights.safetensors"

    @property
    def summary(self) -> Path:
        """The results; there once the run is finished."""
        return self.path / "summary.json"

    @property
    def failure(self) -> Path:
        """Why the run ended before its end, by itself."""
        return self.path / "failure.json"

    def predictions(self, part: str) -> Path:
        """The predictions table of a part: ``valid``, ``test``, or a further test's name."""
        name = part if part in ("valid", "test") else f"test-{part}"
        return self.path / f"predictions-{name}.parquet"

    def check_begun(self) -> None:
        """Check that there is a run here.

        Raises:
            UsageError: there is none.
        """
        if not self.config.is_file():
            raise UsageError(f"{self.path} holds no run of {self.command}: it has no config.yaml")

    def check_new(self) -> None:
        """Check that nothing is in the folder yet.

        Raises:
            UsageError: something is.
        """
        if self.path.exists() and (not self.path.is_dir() or any(self.path.iterdir())):
            hint = " (to go on with the run in it: --resume)" if self.config.exists() else ""
            raise UsageError(f"{self.path} exists and is not empty; name a new folder{hint}")

    @contextmanager
    def begun(self, config: str) -> Iterator[None]:
        """A new run in a new or empty folder, held against other processes.

        Raises:
            UsageError: the folder holds something.
            OutputError: it cannot be written.
        """
        self.check_new()
        write_atomically(self.config, config.encode())
        with self.held():
            yield

    @contextmanager
    def held(self) -> Iterator[None]:
        """This run is ours while the context lasts; how it failed is written down.

        Raises:
            UsageError: there is no run, or another process is at work in it.
        """
        self.check_begun()
        with locked(self._lock, f"another process is training in {self.path}: let it finish"):
            self.failure.unlink(missing_ok=True)
            for folder in (self.path, self.last.parent):
                remove_partials(folder)
            try:
                yield
            except OutputError as error:
                way_out = f"make room, then go on with {self.command} --resume {self.path}"
                told = OutputError(f"{error}: {way_out}")
                self._note(told)
                raise told from error
            except Exception as error:
                self._note(error)
                raise

    @property
    def state(self) -> RunState:
        """How far the run is; one that was killed counts as interrupted."""
        if self.summary.is_file():
            return "finished"
        if self.failure.is_file():
            return "failed"
        return "running" if is_locked(self._lock) else "interrupted"

    @property
    def _lock(self) -> Path:
        return self.path / ".lock"

    def read(self, path: Path) -> dict[str, Any]:
        """The JSON object at `path` of this run.

        Raises:
            TrainingError: it is absent or damaged.
        """
        return json_object(path, TrainingError)

    def read_epochs(self) -> pd.DataFrame:
        """One row an epoch: losses, learning rate, figures of the valid part, seconds.

        Raises:
            TrainingError: they are absent or damaged.
        """
        import pandas as pd  # noqa: PLC0415 - the rest of a folder is read without it

        with decoding(self.metrics, "the epochs of a run", TrainingError):
            epochs = pd.read_csv(self.metrics, index_col=False)
            epochs.astype("float64")  # or a figure is none
            return epochs

    def read_config(self) -> dict[str, Any]:
        """The configuration of this run.

        Raises:
            TrainingError: it is absent or damaged.
        """
        config = read_yaml(self.config, TrainingError)
        if not isinstance(config, dict):
            raise TrainingError(f"{self.config} is no configuration of a run")
        return config

    def _note(self, error: Exception) -> None:
        try:
            write_json(self.failure, {"error": type(error).__name__, "message": str(error)})
        except OutputError:
            return  # a full disk is told by the error itself, which goes on its way
