"""What the estimator answers for one photo: as text, HTML, JSON, a frame and a picture."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, fields
from functools import partial
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeAlias
from weakref import ref

from PIL import Image

from agelens.errors import MissingDependencyError, PhotoStatus, UsageError
from agelens.imaging.photos import PhotoSource, read_photo
from agelens.records import RGB, AgeEstimate

if TYPE_CHECKING:
    import pandas as pd

Pixels: TypeAlias = Callable[[], RGB | None]
"""Gives a photo's pixels [H, W, 3] again, or None where nobody keeps them any more."""

_FACES_IN_REPR: Final = 3
_LONGEST_SIDE_IN_HTML: Final = 640


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class PhotoResult:
    """One row of a run: a photo, what became of it, and its faces, largest first.

    `status` is ``ok``, ``no_face``, ``missing``, ``unreadable`` or ``too_large``, and `message`
    says more where it is not ``ok``. `milliseconds` is how long it took: reading, detection and
    alignment in its thread, and its faces' share of the network's batch. It is no part of the
    JSON, which is the same in every run. `pixels` is what `draw` draws on.
    """

    photo: str
    status: PhotoStatus
    message: str
    faces: tuple[AgeEstimate, ...] = field(default=())
    model: str = ""
    detector: str = ""
    agelens_version: str = ""
    frame: int | None = None
    time_seconds: float | None = None
    milliseconds: float | None = None
    pixels: Pixels | None = None

    def __repr__(self) -> str:
        where = self.photo if self.frame is None else f"{self.photo} #{self.frame}"
        if not self.faces:
            return f"PhotoResult({where!r}, {self.status}: {self.message})"
        shown = [face.in_words() for face in self.faces[:_FACES_IN_REPR]]
        if len(self.faces) > _FACES_IN_REPR:
            shown.append("...")
        count = f"{len(self.faces)} face{'s' if len(self.faces) > 1 else ''}"
        return f"PhotoResult({where!r}, {count}: {'; '.join(shown)})"

    def __reduce__(self) -> tuple[Any, ...]:
        # Pixels that somebody else keeps do not travel; a photo that can be read again does.
        values = {one.name: getattr(self, one.name) for one in fields(self)}
        if isinstance(self.pixels, ref):
            values["pixels"] = None
        return partial(PhotoResult, **values), ()

    def _repr_html_(self) -> str:
        """What a notebook shows: the drawn photo, where its pixels can be had, and a table."""
        parts = [f"<p><b>{escape(self.photo)}</b> {escape(self.message)}</p>"]
        rgb = self.pixels() if self.pixels and self.faces else None
        if rgb is not None:
            parts.append(_img(rgb, self))
        if self.faces:
            parts.append(_table(self.faces))
        parts.append(f"<p><small>{escape(self.model)}, {escape(self.detector)}</small></p>")
        return "\n".join(parts)

    def to_json(self, *, distribution: bool = False) -> dict[str, Any]:
        """One JSON object of plain types.

        Args:
            distribution: add each face's whole age distribution.
        """
        row: dict[str, Any] = {"photo": self.photo}
        if self.frame is not None:
            row["frame"] = self.frame
        if self.time_seconds is not None:
            row["time_seconds"] = round(self.time_seconds, 3)
        row["status"] = self.status
        row["message"] = self.message
        row["faces"] = [face.to_json(distribution=distribution) for face in self.faces]
        row["model"] = self.model
        row["detector"] = self.detector
        row["agelens_version"] = self.agelens_version
        return row

    def to_frame(self, *, distribution: bool = False) -> pd.DataFrame:
        """A pandas frame of one row a face, or of one row where there is no face.

        The columns are those of the CSV files of `agelens estimate`, all of them always.

        Args:
            distribution: add `p_000`, `p_001`, ... in the order of the model's ages.

        Raises:
            MissingDependencyError: pandas is not installed.
        """
        return frame_of([self], distribution=distribution)

    def draw(
        self, path: str | Path | None = None, *, photo: PhotoSource | None = None, bgr: bool = False
    ) -> Image.Image:
        """The photo with a box, the age and its interval at each face.

        Args:
            path: also write it there, as .jpg, .png or .webp.
            photo: what to draw on, for a result that does not know its pixels any more; any
                form that `AgeEstimator.estimate` takes.
            bgr: the array `photo` has its channels in OpenCV's order.

        Returns:
            A PIL image of mode RGB; `numpy.asarray` of it is uint8 [H, W, 3].

        Raises:
            UsageError: the pixels are gone, or `path` has another suffix.
            PhotoError: the photo cannot be read any more.
            OutputError: `path` cannot be written; what was there before is kept.
        """
        from agelens.inference.drawing import annotate, save_picture  # noqa: PLC0415

        if photo is not None:
            rgb = read_photo(photo, bgr=bgr).rgb
        else:
            found = self.pixels() if self.pixels else None
            if found is None:
                raise UsageError(
                    f"{self.photo}: the pixels are gone: draw while you go through the results, or "
                    "give the picture, draw(photo=...)"
                )
            rgb = found
        drawn = annotate(rgb, self)
        if path is not None:
            save_picture(drawn, Path(path))
        return Image.fromarray(drawn)


def frame_of(results: Iterable[PhotoResult], *, distribution: bool = False) -> pd.DataFrame:
    """The faces of `results` as one pandas frame; see `PhotoResult.to_frame`."""
    try:
        import pandas as pd  # noqa: PLC0415 - nothing else in the use lane needs it
    except ModuleNotFoundError as error:
        raise MissingDependencyError(
            "a frame is one of pandas, which is not installed: pip install pandas, or "
            "'agelens[train]', which brings it"
        ) from error
    from agelens.inference.result_files import COLUMNS, flatten  # noqa: PLC0415

    rows = [flat for one in results for flat in flatten(one.to_json(distribution=distribution))]
    ages = sorted({name for row in rows for name in row if name.startswith("p_")})
    types = COLUMNS | dict.fromkeys(ages, float)
    pandas_types = {str: "str", int: "Int64", float: "float64"}
    return pd.DataFrame(rows, columns=list(types)).astype(
        {name: pandas_types[kind] for name, kind in types.items()}
    )


def _img(rgb: RGB, result: PhotoResult) -> str:
    """The drawn photo as an element that carries its own pixels."""
    from agelens.imaging.detectors.base import bounded_copy  # noqa: PLC0415
    from agelens.inference.drawing import annotate, encoded_picture  # noqa: PLC0415

    drawn = bounded_copy(annotate(rgb, result), _LONGEST_SIDE_IN_HTML)
    encoded = b64encode(encoded_picture(drawn, "JPEG")).decode()
    return f'<img alt="{escape(result.photo)}" src="data:image/jpeg;base64,{encoded}">'


def _table(faces: Iterable[AgeEstimate]) -> str:
    heads = "".join(f"<th>{head}</th>" for head in ("face", "age", "interval", "gender", "note"))
    lines = [f"<tr>{heads}</tr>"]
    for number, face in enumerate(faces):
        cells = (
            str(number),
            f"{face.estimate_years:.1f}",
            f"{face.low_years:.0f} to {face.high_years:.0f}",
            face.gender or "",
            f"refer: {face.refer}" if face.refer else "",
        )
        lines.append(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in cells)}</tr>")
    return f"<table>{''.join(lines)}</table>"
