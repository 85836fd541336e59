"""The folder of a light training: it can be stopped, and gone on with to the same end."""

from __future__ import annotations

import io
import json
import pickle
from pathlib import Path
from typing import Any, Final

import torch

from agelens.errors import TrainingError, UsageError
from agelens.recognition.embeddings.purifier import CARD
from agelens.whole_file import write_whole

_PROGRESS: Final = "progress.pt"


class TrainingFolder:
    """Holds the progress of a training until its purifier is there.

    Args:
        path: of the folder; it is made when there is something to write.
        asked: plain types that tell one training from another; a folder's progress goes on only
            with the same.
        resume: go on with what progress it has, if any.

    Raises:
        UsageError: the folder holds a purifier, or anything else, and `resume` is not set; or its
            progress is that of another training.
        TrainingError: its progress cannot be read.
    """

    def __init__(self, path: Path, asked: dict[str, Any], *, resume: bool) -> None:
        self.path = path
        # As it will be read back: tuples become lists.
        self._asked = json.loads(json.dumps(asked))
        if (path / CARD).exists():
            raise UsageError(f"{path} holds a trained purifier; name another folder")
        if not resume and path.exists() and (not path.is_dir() or any(path.iterdir())):
            raise UsageError(f"{path} exists and is not empty; name a new folder, or --resume")
        self.progress: list[dict[str, Any]] | None = None
        if resume and (path / _PROGRESS).exists():
            self.progress = self._read()

    def keep(self, progress: list[dict[str, Any]]) -> None:
        """Write `progress`, of tensors and plain types, in place of what was there.

        Raises:
            OutputError: it cannot be written; what was there is kept.
        """
        content = io.BytesIO()
        torch.save({"asked": self._asked, "progress": progress}, content)
        write_whole(self.path / _PROGRESS, content.getvalue())

    def finish(self) -> None:
        """Forget the progress."""
        (self.path / _PROGRESS).unlink(missing_ok=True)

    def _read(self) -> list[dict[str, Any]]:
        path = self.path / _PROGRESS
        try:
            kept = torch.load(path, map_location="cpu", weights_only=True)
        except (pickle.UnpicklingError, OSError, RuntimeError, EOFError, ValueError) as error:
            raise TrainingError(f"{path} cannot be read: {error}; begin in a new folder") from error
        if not isinstance(kept, dict) or kept.get("asked") != self._asked:
            raise UsageError(
                f"{path} is of a training with other faces or settings; give the same, or name a "
                "new folder"
            )
        progress: list[dict[str, Any]] = kept["progress"]
        return progress
