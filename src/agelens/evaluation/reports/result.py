"""What every measurement hands back: figures as a frame, plain JSON, a page, a folder.

Nothing heavy is loaded until a form is asked for that needs it.
"""

from __future__ import annotations

import json
import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from agelens.atomic import atomic_folder
from agelens.version import __version__

if TYPE_CHECKING:
    import pandas as pd

    from agelens.evaluation.reports.page import Page


def plain_json(value: Any) -> Any:
    """`value` as JSON has it: records as objects, a frame as its rows, null for NaN."""
    if is_dataclass(value):
        return {one.name: plain_json(getattr(value, one.name)) for one in fields(value)}
    if isinstance(value, Mapping):
        return {str(name): plain_json(one) for name, one in value.items()}
    if hasattr(value, "to_dict"):  # a frame
        return plain_json(value.to_dict("records"))
    if hasattr(value, "tolist"):  # NumPy's arrays and numbers
        return plain_json(value.tolist())
    if isinstance(value, list | tuple):
        return [plain_json(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


class Result(ABC):
    """What a measurement found, in every form that it can be handed on in."""

    kind: ClassVar[str]
    """Names the JSON file of the folder."""
    indent: ClassVar[int] = 1

    @abstractmethod
    def document(self) -> Mapping[str, Any]:
        """Everything that was found, in any types that `plain_json` knows."""

    @abstractmethod
    def to_frame(self) -> pd.DataFrame:
        """The figures, a row each."""

    @abstractmethod
    def sentences(self) -> Sequence[str]:
        """What was found in words, the most important first."""

    @abstractmethod
    def page(self) -> Page:
        """The page that people read."""

    def frames(self) -> Mapping[str, pd.DataFrame]:
        """Tables in numbers, by the names that their CSV files get."""
        return {}

    def to_dict(self) -> dict[str, Any]:
        """Everything that was found as plain JSON types; null for what is not defined."""
        document: dict[str, Any] = plain_json(self.document())
        return {**document, "agelens_version": __version__}

    def to_html(self, path: str | Path | None = None) -> str:
        """The page with its figures inside; also written to `path` where one is given."""
        html = self.page().to_html()
        if path is not None:
            Path(path).write_text(html, encoding="utf-8")
        return html

    def save(self, folder: str | Path) -> Path:
        """Write JSON, CSVs, figures and `index.html` into a new `folder`; returns the page's path.

        Raises:
            UsageError: the folder exists and is not empty.
            OutputError: it cannot be written; nothing is left behind.
        """
        with atomic_folder(Path(folder), self.kind) as partial:
            self.write(partial)
        return Path(folder) / "index.html"

    def write(self, folder: Path) -> None:
        """Write what `save` writes into a folder that is there."""
        from agelens.tables.files import guarded  # noqa: PLC0415 - maps need no pandas

        text = json.dumps(self.to_dict(), indent=self.indent, ensure_ascii=False, allow_nan=False)
        (folder / f"{self.kind}.json").write_text(text + "\n", encoding="utf-8")
        for name, frame in self.frames().items():
            guarded(frame).to_csv(folder / f"{name}.csv", index=False)
        self.page().write(folder)

    def __repr__(self) -> str:
        first = next(iter(self.sentences()), "")
        return f"<{type(self).__name__}: {first}>"

    def _repr_html_(self) -> str:
        lines = "".join(f"<p>{escape(line)}</p>" for line in self.sentences())
        from agelens.evaluation.reports.page import html_table  # noqa: PLC0415 - loads pandas

        return lines + html_table("", self.to_frame())
