"""Predictions of labelled photos through the whole pipeline, as a user's photo goes."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, replace
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from agelens.data.store import ChipStore
from agelens.data.store.cutting import Root, choose_face, labelled_photos, picture_source
from agelens.errors import UsageError
from agelens.imaging.align import similarity, template_named
from agelens.imaging.quality import judge, yaw_degrees
from agelens.inference.cards import Card
from agelens.inference.estimator import AgeEstimator
from agelens.inference.results import PhotoResult
from agelens.records import RGB, AgeEstimate, Face, Floats, Photo
from agelens.tables import BOX, LANDMARKS, PredictionsTable, SampleTable, refuse

AGE_MODEL: Final = "age_model"
"""Column that names the model behind an estimated age; missing beside any other age."""


def with_estimated_ages(
    samples: SampleTable, predictions: PredictionsTable, model: str, *, replace: bool = False
) -> SampleTable:
    """`samples` with what was estimated as `age_years`, of kind ``estimated``.

    An age that is there already stays, of its own kind, and so does a row without an estimate.
    The extra column `age_model` names the model in every row that it gave an age, and `refer` says
    why a human should look at it: a face that is cut off, covered, too small or blurred.

    Args:
        samples: to label.
        predictions: of the same samples in the same order.
        model: name and version.
        replace: give up the ages, their spread and bounds, of rows that have an estimate.

    Raises:
        TableError: the predictions are of other samples; rows are named.
    """
    frame = samples.frame
    predicted = predictions.frame["sample_id"]
    if len(predicted) != len(frame):
        predicted = predicted.reindex(frame.index)
    refuse(frame["sample_id"], (predicted != frame["sample_id"]).fillna(True), "was not predicted")
    estimate = predictions.frame["estimate_years"].to_numpy(dtype=np.float64)
    given = ~np.isnan(estimate)
    if not replace:
        given &= ~frame[["age_years", "age_low", "age_high"]].notna().any(axis=1).to_numpy()
    known = frame.get(AGE_MODEL, pd.Series(None, index=frame.index, dtype=object))
    added = {AGE_MODEL: known.astype(object).mask(given, model)}
    if (refer := predictions.frame.get("refer")) is not None:
        before = frame.get("refer", pd.Series(None, index=frame.index, dtype=object))
        added["refer"] = before.astype(object).mask(given, refer.astype(object))
    return samples.with_columns(
        age_years=np.where(given, estimate, frame["age_years"]),
        age_kind=frame["age_kind"].astype(object).mask(given, "estimated"),
        **{name: frame[name].mask(given) for name in ("age_std", "age_low", "age_high")},
        **added,
    )


_YEARS: Final = ("estimate_years", "median_years", "low_years", "high_years")
_QUALITY: Final = (
    *("inter_eye_px", "sharpness", "exposure", "roll_degrees", "yaw_proxy"),
    "visible_share",
)


def table_of(
    estimator: AgeEstimator,
    samples: SampleTable,
    faces: Sequence[AgeEstimate | None],
    statuses: Sequence[str],
    milliseconds: Sequence[float | None] | None = None,
) -> PredictionsTable:
    """The predictions table of `samples` [N].

    Beside its own columns it has `refer`: why a human should look, where the picture asks for it;
    and `gender_estimate`, `ethnicity_estimate` and their scores where the estimator tells them.

    Args:
        estimator: whose model is named in every row.
        samples: with their labels.
        faces: [N] the labelled face of each sample, None where there is none.
        statuses: [N] ``ok`` beside a face, or why there is none.
        milliseconds: [N] that each sample's photo took, where that was measured.
    """
    columns: dict[str, Any] = {
        name: [None if face is None else getattr(face, name) for face in faces] for name in _YEARS
    }
    columns["interval_level"] = [None if f is None else f.interval_level for f in faces]
    columns |= _quality(faces)
    told = [{} if face is None else face.told for face in faces]
    for column in dict.fromkeys(name for one in told for name in one):
        words = [one.get(column, (None, None)) for one in told]
        columns[f"{column}_estimate"] = [word for word, _ in words]
        columns[f"{column}_score"] = [score for _, score in words]
    columns["refer"] = pd.Series([None if f is None else f.refer for f in faces], dtype="str")
    if milliseconds is not None:
        columns["milliseconds"] = list(milliseconds)
    columns |= {"status": list(statuses)} | _model(estimator.card)
    distribution = _distribution(faces, len(estimator.age_scale))
    if distribution is None:
        return PredictionsTable.from_samples(samples, columns)
    return PredictionsTable.from_samples(
        samples, columns, distribution=distribution, scale=estimator.age_scale
    )


def _quality(faces: Sequence[AgeEstimate | None]) -> dict[str, list[float | None]]:
    seen = [
        None if face is None or face.quality is None else asdict(face.quality) for face in faces
    ]
    columns = {name: [None if one is None else one[name] for one in seen] for name in _QUALITY}
    proxies = [np.nan if value is None else value for value in columns["yaw_proxy"]]
    columns["yaw_degrees"] = yaw_degrees(proxies).tolist()
    scores = [None if f is None or f.face is None else f.face.score for f in faces]
    return {"detection_score": scores, **columns}


def _model(card: Card) -> dict[str, str | None]:
    """Where the estimates come from, in the words of the card."""
    stated = card.document
    trained_on = sorted({str(entry["dataset"]) for entry in stated["trained_on"]})
    return {
        "model": card.name,
        "method": stated.get("method"),
        "backbone": stated.get("backbone"),
        "train_data": "+".join(trained_on) or None,
    }


def _distribution(faces: Sequence[AgeEstimate | None], ages: int) -> np.ndarray | None:
    """Distributions [N, K], NaN where there is no face; None where the model has none."""
    if all(face is None or face.distribution is None for face in faces):
        return None
    rows = np.full((len(faces), ages), np.nan, dtype=np.float32)
    for row, face in enumerate(faces):
        if face is not None and face.distribution is not None:
            rows[row] = face.distribution
    return rows


_CHIPS_AT_A_TIME: Final = 512
_CUT_BY: Final = ("alignment", "template", "size", "margin", "fill")


def predict_store(
    estimator: AgeEstimator,
    store: ChipStore,
    *,
    rows: NDArray[np.int64] | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> PredictionsTable:
    """What the model says of each row of `store`.

    A row without a chip keeps its status, such as ``no_face``. Quality is judged by the chip and
    the landmarks that were found when it was cut; how much of the face the photo showed is not
    known any more.

    Args:
        estimator: of a model for such chips.
        store: with labels.
        rows: only these, in this order.
        on_progress: called with rows done and rows in all.

    Raises:
        UsageError: the store's chips are not what the model's card asks for.
    """
    check_other_chips(store, estimator.card)
    chosen = np.arange(len(store)) if rows is None else np.asarray(rows)
    samples = store.table.select(chosen)
    found = _Faces(store, estimator)
    faces: list[AgeEstimate | None] = []
    for start in range(0, len(chosen), _CHIPS_AT_A_TIME):
        faces += found.of_rows(chosen[start : start + _CHIPS_AT_A_TIME])
        if on_progress:
            on_progress(len(faces), len(chosen))
    statuses = store.outcomes["status"].iloc[chosen].astype(str).tolist()
    return table_of(estimator, samples, faces, statuses)


def check_other_chips(store: ChipStore, card: Card) -> None:
    """Raise unless the store's chips are cut as the card asks for.

    The network would answer all the same, and be wrong by years.

    Raises:
        UsageError: they are not; the message says in what they differ.
    """
    made = _cut(store.card.settings)
    if card.document["input"].get("chips") == made["alignment"]:
        # Trained on aligned chips; how photos are cut alike was stated when it was exported.
        made |= {"alignment": card.input.alignment, "template": card.input.template}
        made |= {"margin": card.input.margin, "fill": card.input.fill}
    wanted = {name: getattr(card.input, name) for name in _CUT_BY}
    other = [
        f"{name} {made[name]!r} instead of {wanted[name]!r}"
        for name in _CUT_BY
        if made[name] != wanted[name]
    ]
    if other:
        raise UsageError(
            f"the chips in {store.folder} are not those that {card.name} takes: they have "
            f"{', '.join(other)}. Prepare a store for it, or predict the table of its photos"
        )


def _cut(settings: Any) -> dict[str, Any]:
    """How a store's chips were cut, in the words of a card."""
    made = {name: settings[name] for name in _CUT_BY if name != "fill"}
    made["fill"] = settings.get("fill", "black")
    # Only similarity has a template; the other ways are named in its place.
    made["template"] = made["template"] or made["alignment"]
    return made


class _Faces:
    """Estimates of a store's rows, each with its face and its quality."""

    def __init__(self, store: ChipStore, estimator: AgeEstimator) -> None:
        frame = store.table.frame
        self._store, self._estimator = store, estimator
        made = store.card.settings
        self._points = None
        if made["alignment"] == "similarity":
            self._points = template_named(made["template"]).points_in(made["size"], made["margin"])
        self._has_chip = store.has_chip
        self._boxes = frame[list(BOX)].to_numpy(np.float64)
        self._landmarks = frame[list(LANDMARKS)].to_numpy(np.float64).reshape(-1, 5, 2)
        self._scores = store.outcomes["detection_score"].to_numpy(np.float64, na_value=np.nan)

    def of_rows(self, rows: NDArray[np.int64]) -> list[AgeEstimate | None]:
        """The estimate of each row, None of one without a chip."""
        there = rows[self._has_chip[rows]]
        chips = [self._store[int(row)] for row in there]
        estimates = iter(self._estimator.estimate_chips(chips)) if chips else iter(())
        seen = {
            int(row): self._with_face(next(estimates), int(row), chip)
            for row, chip in zip(there, chips, strict=True)
        }
        return [seen.get(int(row)) for row in rows]

    def _with_face(self, estimate: AgeEstimate, row: int, chip: RGB) -> AgeEstimate:
        face = Face(self._boxes[row], self._landmarks[row], float(self._scores[row]))
        quality = judge(face, chip, matrix=self._matrix(face))
        refer = self._estimator.card.limits.refer(quality)
        return replace(estimate, face=face, quality=quality, refer=refer)

    def _matrix(self, face: Face) -> Floats | None:
        """[2, 3] from the photo to the chip, where a template says it."""
        if self._points is None or np.isnan(face.landmarks).any():
            return None
        return similarity(face.landmarks, self._points)


def predict_photos(
    estimator: AgeEstimator,
    samples: SampleTable,
    root: Root = None,
    *,
    on_progress: Callable[[int, int], None] | None = None,
) -> PredictionsTable:
    """What the model says of each sample's photo: read, searched for faces, aligned, estimated.

    Of several faces the one that `agelens.data.store.cutting` takes for the labelled one. A photo
    that cannot be used is a row with its status.

    Args:
        estimator: finds faces with its own detector.
        samples: with labels, and the labelled box where it is known.
        root: see `agelens.data.store.cutting.picture_source`.
        on_progress: called with rows done and rows in all.

    Raises:
        UsageError: a root that holds none of the photos, or a model that takes no photos.
    """
    source = picture_source(root, samples)
    photos = list(labelled_photos(samples.frame, shard=0))
    faces: list[AgeEstimate | None] = [None] * len(samples)
    statuses = [""] * len(samples)
    milliseconds: list[float | None] = [None] * len(samples)
    sizes: deque[tuple[int, int]] = deque()

    def remember(photo: Photo, _: PhotoResult) -> None:
        sizes.append((photo.rgb.shape[0], photo.rgb.shape[1]))

    results = estimator.stream((source(p.dataset, p.path) for p in photos), on_photo=remember)
    done = 0
    for photo, result in zip(photos, results, strict=True):
        # Only what could be read was remembered, in the order of the results.
        size = sizes.popleft() if result.status in ("ok", "no_face") else (0, 0)
        # Of an aligned chip, the labelled box is where its face was in another picture.
        boxes = (None,) * len(photo.rows) if estimator.aligned else photo.boxes
        for row, face in zip(photo.rows, _chosen(result, size, boxes), strict=True):
            faces[row], milliseconds[row] = face, result.milliseconds
            statuses[row] = "no_face" if face is None and result.faces else result.status
        done += len(photo.rows)
        if on_progress:
            on_progress(done, len(samples))
    return table_of(estimator, samples, faces, statuses, milliseconds)


def _chosen(
    result: PhotoResult, size_hw: tuple[int, int], boxes: tuple[Floats | None, ...]
) -> Iterator[AgeEstimate | None]:
    """The estimate of the labelled face of each box."""
    found = [estimate.face for estimate in result.faces if estimate.face is not None]
    for box in boxes:
        face = choose_face(found, size_hw, box)
        yield next((one for one in result.faces if face is not None and one.face is face), None)
