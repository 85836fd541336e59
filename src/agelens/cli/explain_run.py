"""What `agelens explain PHOTO...` does: photos in, numbers and heat maps out."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from agelens.atomic import atomic_folder
from agelens.cli.explain_methods import explainer_as_asked
from agelens.cli.registries import show
from agelens.errors import PhotoError, UsageError
from agelens.evaluation.heat_maps import Explainer, HeatMap
from agelens.evaluation.heat_maps.sanity_check import (
    ENOUGH,
    NOT_TOLD,
    ExplainedFaces,
    RandomizationResult,
    verdict,
)
from agelens.imaging.align import apply
from agelens.imaging.photos import read_photo
from agelens.imaging.sources import Source, expand
from agelens.inference.estimator import AgeEstimator
from agelens.records import RGB, Chip, Photo

_SOME_FAILED: Final = 3
_MOST_CHECKED: Final = ENOUGH
"""Faces that the sanity check explains again; each costs a map for every step of it."""


@dataclass(frozen=True, slots=True, eq=False)
class _Explained:
    """A photo, and the face, the chip and the map of it where there are any."""

    row: dict[str, Any]
    photo: Photo | None = None
    chip: Chip | None = None
    found: HeatMap | None = None


def run(options: argparse.Namespace) -> int:
    """Explain each photo, print the numbers, and write the folder if one is named."""
    if options.face < 0:
        raise UsageError(f"faces are counted from 0, the largest; got --face {options.face}")
    estimator = AgeEstimator(options.model, options.detector, workers=options.workers)
    estimator.check_takes_photos()
    explain, settings = explainer_as_asked(options, estimator)
    output: Path | None = options.output
    if output is None:
        found, failed = _explain_all(options, estimator, explain, settings, None)
    else:
        with atomic_folder(output, "heat maps") as folder:
            found, failed = _explain_all(options, estimator, explain, settings, folder)
    if options.json:
        print(json.dumps(found.to_json(), ensure_ascii=False, allow_nan=False))
    else:
        _tell(found)
        if output is not None:
            print(f"wrote {output}: pictures of people, for this machine only")
    return _SOME_FAILED if failed else 0


def _explain_all(
    options: argparse.Namespace,
    estimator: AgeEstimator,
    explain: Explainer,
    settings: dict[str, Any],
    folder: Path | None,
) -> tuple[ExplainedFaces, bool]:
    """All photos, one at a time; pictures go to `folder` as they are made."""
    rows: list[dict[str, Any]] = []
    chips: list[RGB] = []
    pictures: list[str] = []
    last: HeatMap | None = None
    for source in expand(options.photos, recursive=options.recursive):
        one = _explained(source, options.face, estimator, explain)
        rows.append(one.row)
        if one.photo is None or one.chip is None or one.found is None:
            continue
        last = one.found
        if len(chips) < _MOST_CHECKED:
            chips.append(one.chip.rgb)
        if folder is not None:
            pictures.append(f"face_{len(rows):04d}.png")
            one.row["picture"] = pictures[-1]
            _draw(one.photo, one.chip, one.found, folder / pictures[-1])
    if not rows:
        raise UsageError("no photos there: name photos, or folders that hold some")
    checked = _checked(explain, chips, options.seed) if options.sanity_check else []
    found = ExplainedFaces(settings, rows, pictures, checked)
    if folder is not None:
        from agelens.evaluation.reports.heat_maps import write_faces  # noqa: PLC0415 - pandas

        write_faces(found, last, folder)
    return found, any(row["status"] != "ok" for row in rows)


def _explained(
    source: Source, index: int, estimator: AgeEstimator, explain: Explainer
) -> _Explained:
    row: dict[str, Any] = {"photo": source.name, "status": "ok", "message": ""}
    try:
        photo = _photo(source)
    except PhotoError as error:
        return _Explained(row | {"status": error.status, "message": str(error)})
    faces = estimator.estimate(photo).faces
    face = faces[index].face if index < len(faces) else None
    if face is None:
        return _Explained(row | {"status": "no_face", "message": _no_face(len(faces), index)})
    if len(faces) > 1:
        row["message"] = f"face {index} of {len(faces)}, the largest first; --face takes another"
    chip = estimator.chip_of(photo.rgb, face)
    found = explain(chip.rgb)
    row |= {
        "face": index,
        "faces": len(faces),
        "box_xyxy": face.box_xyxy.round(2).tolist(),
        "estimate_years": round(faces[index].estimate_years, 3),
        "map": found.to_json(apply(chip.matrix, face.landmarks)),
    }
    return _Explained(row, photo, chip, found)


def _photo(source: Source) -> Photo:
    if source.problem:
        raise PhotoError(source.problem, status=source.status)
    if source.kind == "video":
        raise PhotoError("a video: take a frame of it as a photo")
    return read_photo(source.path)


def _no_face(faces: int, index: int) -> str:
    if not faces:
        return "no face found"
    return f"no face {index}: there are {faces}, counted from 0"


def _draw(photo: Photo, chip: Chip, found: HeatMap, path: Path) -> None:
    from agelens.evaluation.reports.heat_maps import face_figure  # noqa: PLC0415
    from agelens.evaluation.reports.plotting import save  # noqa: PLC0415 - loads matplotlib

    name = Path(photo.source).name
    save(face_figure(photo.rgb, chip.rgb, chip.matrix, found, name), path)


def _checked(explain: Explainer, chips: list[RGB], seed: int) -> list[RandomizationResult]:
    if not chips:
        return []
    from agelens.evaluation.heat_maps.sanity_check import sanity_check  # noqa: PLC0415 - scipy

    return sanity_check(explain, chips, seed=seed)


def _tell(found: ExplainedFaces) -> None:
    for row in found.faces:
        print("\n".join(_lines(row)))
    if found.checked:
        show([step.to_json() for step in found.checked], as_json=False)
        print(f"sanity check {verdict(found.checked)}")
    print(NOT_TOLD[0])


def _lines(row: Mapping[str, Any]) -> Iterator[str]:
    note = f" ({row['message']})" if row["message"] else ""
    if "map" not in row:
        yield f"{row['photo']}: no map{note}"
        return
    found = row["map"]
    unit = " years" if found["unit"] == "years" else ""
    yield f"{row['photo']}: {found['estimate_years']:.1f} years{note}"
    for name, words in (("most", "older"), ("least", "younger")):
        extreme = found[name]
        if name == "most" or found["unit"] == "years":
            at = f"chip pixel {extreme['x']}, {extreme['y']}"
            yield f"  {words} most by {extreme['value']:+.2f}{unit} at {at}"
    at_points = (f"{name} {value:+.2f}" for name, value in found["at"].items() if value is not None)
    yield f"  at {', '.join(at_points)}"
