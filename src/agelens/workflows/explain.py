"""Which places of a face an estimate hangs on: of single photos, or on average by age."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from agelens.errors import PhotoError, UnknownNameError, UsageError
from agelens.evaluation.finished_runs import CONFIG, run_folder
from agelens.evaluation.heat_maps.explained_faces import (
    ENOUGH,
    FacesReport,
    MappedFace,
    RandomizationResult,
)
from agelens.evaluation.heat_maps.heat_map import Explainer
from agelens.evaluation.heat_maps.occlusion import OcclusionExplainer, Windows
from agelens.imaging.align import apply
from agelens.imaging.photos import read_photo
from agelens.imaging.sources import Source, expand
from agelens.inference.cards import CARD_FILE, DEFAULT_MODEL, Card, card_path
from agelens.inference.estimator import AgeEstimator
from agelens.progress import Progress
from agelens.records import Photo
from agelens.workflows.chosen import Chosen

if TYPE_CHECKING:
    from agelens.evaluation.heat_maps.by_age import ByAgeReport
    from agelens.models.attribution import ExplainedNetwork

CAM_METHODS: Final = ("grad-cam", "hires-cam", "grad-cam++", "layer-cam")
METHODS: Final = ("occlusion", *CAM_METHODS, "integrated-gradients")


@dataclass(frozen=True, slots=True)
class Method:
    """How maps are made.

    Args:
        name: of `METHODS`; all but the first need a run, whose network they go back through.
        patch: in pixels of the chip; an eighth of its side by default.
        stride: of occlusion; half the patch, or by age all of it, by default.
        fill: what hides a place: the mean colour (occlusion) or a blur (integrated-gradients).
        steps: of integrated gradients.
        layer: of the Grad-CAM family; the last by default.

    Raises:
        UnknownNameError: another method.
        UsageError: a setting of another method.
    """

    name: str = "occlusion"
    patch: int | None = None
    stride: int | None = None
    fill: str | None = None
    steps: int | None = None
    layer: str | None = None

    def __post_init__(self) -> None:
        if self.name not in METHODS:
            raise UnknownNameError("method", self.name, METHODS)
        belongs = {
            "--stride": (self.stride, ("occlusion",)),
            "--fill": (self.fill, ("occlusion", "integrated-gradients")),
            "--steps": (self.steps, ("integrated-gradients",)),
            "--layer": (self.layer, CAM_METHODS),
        }
        for option, (value, methods) in belongs.items():
            if value is not None and self.name not in methods:
                raise UsageError(f"{option} is of {', '.join(methods)}, not of {self.name}")

    def explainer(
        self, estimator: AgeEstimator, model: Any, *, averaged: bool = False
    ) -> tuple[Explainer, dict[str, Any]]:
        """What makes the maps, and its settings.

        Raises:
            UsageError: a gradient method for a model that torch does not hold, a backbone without
                maps, or windows that the chip cannot have.
            UnknownNameError: a fill or a layer that does not exist.
            TrainingError: the run is not finished or is damaged.
        """
        side, stride = estimator.card.input.size, self.stride
        if averaged and stride is None and self.name == "occlusion":
            stride = Windows.over(side, self.patch).patch  # four times as quick, over many faces
        windows = Windows.over(side, self.patch, stride)
        settings: dict[str, Any] = {"model": estimator.card.name, "method": self.name}
        settings["patch_px"] = windows.patch
        if self.name == "occlusion":
            fill = self.fill or "mean"
            settings |= {"stride_px": windows.stride, "fill": fill}
            return OcclusionExplainer(estimator, windows, fill), settings
        return self._by_gradients(_network(model, estimator.card), windows.patch, settings)

    def _by_gradients(
        self, network: ExplainedNetwork, patch: int, settings: dict[str, Any]
    ) -> tuple[Explainer, dict[str, Any]]:
        from agelens.models.attribution import (  # noqa: PLC0415 - loads torch
            ClassActivationExplainer,
            IntegratedGradientsExplainer,
        )

        if self.name in CAM_METHODS:
            cam = ClassActivationExplainer.of(network, self.name, patch=patch, layer=self.layer)
            return cam, settings | {"layer": cam.layer}
        steps = 32 if self.steps is None else self.steps
        explain = IntegratedGradientsExplainer(network, patch, self.fill or "blur", steps)
        return explain, settings | {"fill": explain.fill, "steps": steps}


def explain(
    photos: Any = None,
    *,
    model: Any = DEFAULT_MODEL,
    by_age: bool = False,
    method: str | Method = "occlusion",
    root: Any = None,
    chosen: Chosen | None = None,
    per_band: int = 40,
    face: int = 0,
    recursive: bool = False,
    sanity_check: bool = False,
    detector: str = "retinaface",
    workers: int | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> FacesReport | ByAgeReport:
    """Draw which places of a face make it look older or younger to a model.

    >>> explain("a.jpg").save("maps")  # doctest: +SKIP

    Args:
        photos: paths of photos, folders or patterns; by age a chip store or a table of labelled
            photos, of a run by default its own test part.
        model: a name, a card, a folder with card and weights, or a run.
        by_age: mean maps of labelled faces instead of single photos.
        method: a name of `METHODS`, or a `Method` with its settings.
        root: where a table's photos are.
        chosen: which labelled faces.
        per_band: at most so many faces of each ten years.
        face: which face of a photo, 0 is the largest.
        recursive: walk into sub-folders.
        sanity_check: compare with maps of the same network with shuffled weights.
        detector: that finds the faces.
        workers: threads; all available cores by default.
        seed: of what is drawn at random.
        progress: called with faces done and faces in all.

    Raises:
        TableError: by age, no row has both an age and a face.
        UnknownNameError: there is no such method, fill or layer.
        UsageError: what does not belong together; see `Method` and `labelled_faces`.
    """
    how = method if isinstance(method, Method) else Method(method)
    if by_age:
        if sanity_check:
            raise UsageError("--sanity-check takes a few photos; name them without --by-age")
        if per_band < 1:
            raise UsageError(f"--per-band takes 1 face or more, got {per_band}")
        from agelens.workflows.explain_by_age import explain_by_age  # noqa: PLC0415 - pandas

        return explain_by_age(
            *(photos, model, how),
            root=root,
            chosen=chosen,
            per_band=per_band,
            detector=detector,
            workers=workers,
            seed=seed,
            progress=progress,
        )
    if not photos:
        raise UsageError("name photos, or --by-age with a chip store or a table of photos")
    if face < 0:
        raise UsageError(f"faces are counted from 0, the largest; got --face {face}")
    estimator = opened(model, detector, workers)
    estimator.check_takes_photos()
    explainer, settings = how.explainer(estimator, model)
    named = [photos] if isinstance(photos, str | Path) else photos
    sources = list(expand([str(one) for one in named], recursive=recursive))
    if not sources:
        raise UsageError("no photos there: name photos, or folders that hold some")
    rows: list[dict[str, Any]] = []
    faces: dict[str, MappedFace] = {}
    for source in sources:
        row, mapped = _one(source, face, estimator, explainer)
        rows.append(row)
        if mapped is not None:
            row["picture"] = f"face_{len(rows):04d}.png"
            faces[row["picture"]] = mapped
        if progress is not None:
            progress(len(rows), len(sources))
    checked = _checked(explainer, faces, seed) if sanity_check and faces else []
    return FacesReport(settings, rows, faces, checked)


def opened(model: Any, detector: str, workers: int | None) -> AgeEstimator:
    """The estimator of a model; pandas and torch are loaded where a run must be exported."""
    folder = run_folder(model)
    if isinstance(model, AgeEstimator) or (folder and not (folder / CARD_FILE).is_file()):
        from agelens.workflows.labelled_faces import estimator_of  # noqa: PLC0415 - pandas

        return estimator_of(model, detector=detector, workers=workers)
    return AgeEstimator(str(folder or model), detector, workers=workers)


def _checked(
    explainer: Explainer, faces: dict[str, MappedFace], seed: int
) -> list[RandomizationResult]:
    from agelens.evaluation.heat_maps.sanity_check import sanity_check  # noqa: PLC0415 - scipy

    # A few: each costs a map for every step of the check.
    chips = [mapped.chip for mapped in list(faces.values())[:ENOUGH]]
    return sanity_check(explainer, chips, seed=seed)


def _one(
    source: Source, index: int, estimator: AgeEstimator, explainer: Explainer
) -> tuple[dict[str, Any], MappedFace | None]:
    row: dict[str, Any] = {"photo": source.name, "status": "ok", "message": ""}
    try:
        photo = _photo(source)
    except PhotoError as error:
        return row | {"status": error.status, "message": str(error)}, None
    faces = estimator.estimate(photo).faces
    face = faces[index].face if index < len(faces) else None
    if face is None:
        there = f"no face {index}: there are {len(faces)}, counted from 0"
        return row | {"status": "no_face", "message": there if faces else "no face found"}, None
    if len(faces) > 1:
        row["message"] = f"face {index} of {len(faces)}, the largest first; --face takes another"
    chip = estimator.chip_of(photo.rgb, face)
    found = explainer(chip.rgb)
    row |= {
        "face": index,
        "faces": len(faces),
        "box_xyxy": face.box_xyxy.round(2).tolist(),
        "estimate_years": round(faces[index].estimate_years, 3),
        "map": found.to_json(apply(chip.matrix, face.landmarks)),
    }
    return row, MappedFace.of(photo.rgb, chip, found)


def _photo(source: Source) -> Photo:
    if source.problem:
        raise PhotoError(source.problem, status=source.status)
    if source.kind == "video":
        raise PhotoError("a video: take a frame of it as a photo")
    return read_photo(source.path)


def _network(model: Any, card: Card) -> ExplainedNetwork:
    """The run's network, with the weights that its export was made from."""
    folder = run_folder(model)
    if folder is None and isinstance(model, str | Path):
        beside = card_path(str(model)).parent
        folder = beside if (beside / CONFIG).is_file() else None
    if folder is None:
        raise UsageError(
            f"{card.name} is known by {card.weights.name} alone, through which no gradient "
            "flows: use --method occlusion, or name the run folder of agelens train that it was "
            "exported from"
        )
    from agelens.models.attribution import ExplainedNetwork  # noqa: PLC0415 - loads torch
    from agelens.training.run import load_run  # noqa: PLC0415

    run = load_run(folder).trained
    return ExplainedNetwork(run.model, run.transform)
