"""`agelens predict`, `calibrate`, `stress` and `explain`: a model on labelled faces or photos."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from agelens.atomic import check_new_folder
from agelens.cli.columns import column_mapping
from agelens.cli.evaluation import AgeKind, print_table, tell
from agelens.cli.options import NonNegativeInt, OneOf, OpenShare, PositiveInt
from agelens.cli.output import check_new_table, print_json
from agelens.errors import UsageError
from agelens.progress import progress_bars

if TYPE_CHECKING:
    from agelens.tables import ColumnMapping

Detector = Annotated[str, OneOf("agelens.imaging.detectors:DETECTORS")]
_SOME_FAILED = 3
_READ = frozenset({"ok", "no_face"})


def predict(
    data: Path | None = None,
    /,
    *,
    model: str,
    root: Path | None = None,
    output: Path = Path("predictions.parquet"),
    overwrite: bool = False,
    split: str | None = None,
    split_seed: NonNegativeInt = 0,
    fold: str | None = None,
    part: str | None = None,
    limit: PositiveInt | None = None,
    own_intervals: bool = False,
    gender: bool = False,
    mirror: bool = False,
    aligned: bool = False,
    detector: Detector = "retinaface",
    workers: PositiveInt | None = None,
) -> int:
    """Estimate labelled faces into a predictions table, for evaluate, calibrate and gate.

    Args:
        data: a chip store, or a table of labelled photos; of a run by default its own test part.
            With --aligned also a folder of chips, without labels: evaluate --labels adds them.
        model: a name, a card, a folder with card and weights, or a run.
        root: where the table's photos are.
        output: P.parquet or P.csv.
        overwrite: replace the output.
        split: a protocol, `column`, or a folder of agelens data split; of a run's own store by
            default the run's.
        split_seed: of the protocol.
        fold: which split, where there are several.
        part: only this part, such as valid, or all; of a run's own store test by default.
        limit: this many of the faces, drawn at random.
        own_intervals: leave out the calibration in the card.
        gender: also estimate gender, of photos, or of chips where the model itself tells it; and
            ethnicity where the model tells it.
        mirror: average with the mirrored face.
        aligned: the pictures of the table or folder are chips of one face each, aligned as the
            model's training data were: taken whole.
        detector: of faces in photos.
        workers: threads; all available cores by default.
    """
    check_new_table(output, overwrite=overwrite)
    from agelens.evaluation.table_checks import tally  # noqa: PLC0415
    from agelens.tables import write_predictions  # noqa: PLC0415
    from agelens.workflows.chosen import Chosen  # noqa: PLC0415
    from agelens.workflows.predict import predict as predicted  # noqa: PLC0415

    with progress_bars("faces") as progress:
        table = predicted(
            data,
            model=model,
            root=root,
            chosen=Chosen(split, split_seed, fold, part, limit),
            own_intervals=own_intervals,
            gender=gender,
            mirror=mirror,
            aligned=aligned,
            detector=detector,
            workers=workers,
            progress=progress,
        )
    write_predictions(table, output)
    statuses = tally(table.frame["status"])
    print(", ".join(f"{count:,} {status}" for status, count in statuses.items()))
    print(f"wrote {output}")
    return _SOME_FAILED if set(statuses) - _READ else 0


def calibrate(
    data: list[Path],
    *,
    model: str | None = None,
    output: Path | None = None,
    apply: Path | None = None,
    score: str = "quantile",
    bins: PositiveInt | None = None,
    bins_of: str = "estimate",
    by: Literal["gender"] | None = None,
    hold: list[str] = [],  # noqa: B006 - never changed
    each_dataset: OpenShare | None = None,
    levels: list[OpenShare] = [0.5, 0.8, 0.9, 0.95],  # noqa: B006
    level: OpenShare = 0.9,
    bias: bool = False,
    anyway: bool = False,
    allow_training_data: bool = False,
    overwrite: bool = False,
    json: bool = False,
    split: str | None = None,
    split_seed: NonNegativeInt = 0,
    fold: str | None = None,
    part: str | None = None,
    columns: list[str] | None = None,
    labels: Path | None = None,
    age_kind: AgeKind | None = None,
    allow_mixed_age_kinds: bool = False,
    seed: NonNegativeInt = 0,
) -> None:
    """Make intervals hold as often as they say: a model's, or those of any table.

    Find on labelled faces how wide they must be. Of a model that is written into its card; agelens
    estimate then states the coverage. Of a table, of whatever tool, -o writes it with calibrated
    intervals, and beside it NAME.calibration.json, which --apply puts on later tables. The faces
    must be none that the model was trained on.

    Args:
        data: predictions with labels, several to hold in each, or a chip store to make them from.
        model: a name, a card, a folder with card and weights, or a run; none for a table.
        output: of a model, a new folder for a calibrated copy, the model staying as it is; of a
            table, P.parquet or P.csv.
        apply: a calibration that was written beside a table, for a later table of that model.
        score: quantile moves both ends by the same years, normalised widens by a factor, absolute
            puts the same years on both sides of the estimate.
        bins: of age, each corrected by itself; one for every 50 samples, at most 10, by default.
        bins_of: estimate holds people who look alike as often as promised; age people who are
            alike, so that the old and the young are not missed; a little wider.
        by: each gender by itself.
        hold: columns such as gender,ethnicity,age_band whose every group is held as often as
            promised, so that the promise is of the worst of them.
        each_dataset: hold every dataset of the table, not only their mix, at most so far below
            the level as this share, such as 0.03.
        levels: shares that intervals are to hold; agelens estimate uses 0.9.
        level: of the intervals that a table gets.
        bias: also remove bias, for people of the same mix of ages as here.
        anyway: calibrate on fewer people than the promise needs.
        allow_training_data: calibrate on what the model may have been trained on.
        overwrite: replace a table.
        json: print JSON.
        split: of a store: a protocol, `column`, or a folder of agelens data split.
        split_seed: of the protocol.
        fold: which split, where there are several.
        part: of a store, only this part.
        columns: other tools' columns, see agelens evaluate.
        labels: take labels from this table.
        age_kind: what the ages are, where the table does not say.
        allow_mixed_age_kinds: take real, apparent and estimated ages together.
        seed: of the folds that coverage is measured by.
    """
    if model is not None and apply is not None:
        raise UsageError("--apply is for a table; a calibrated model needs no such file")
    if model is None and output is not None:
        check_new_table(output, overwrite=overwrite)
    if apply is not None:
        _apply_calibration(data, apply, output, level, column_mapping(columns), json=json)
        return
    if model is not None:
        _check_model(model, output)
    from agelens.evaluation import calibrate as calibrated  # noqa: PLC0415
    from agelens.workflows.chosen import Chosen  # noqa: PLC0415

    with progress_bars("faces") as progress:
        found = calibrated(
            *data,
            model=model,
            score=score,  # type: ignore[arg-type] # it checks the word itself
            bins=bins,
            bins_of=bins_of,  # type: ignore[arg-type]
            by=by,
            hold=hold,
            each_dataset=each_dataset,
            levels=levels,
            bias=bias,
            anyway=anyway,
            allow_training_data=allow_training_data,
            chosen=Chosen(split, split_seed, fold, part),
            columns=column_mapping(columns),
            labels=labels,
            age_kind=age_kind,
            mix_age_kinds=allow_mixed_age_kinds,
            seed=seed,
            progress=progress,
        )
    path = None
    if model is None:
        path = None if output is None else found.save_corrected(output, level)
    else:
        path = found.apply() if output is None else found.save(output)
    if json:
        print_json({"card" if model else "calibration": path and str(path), **found.to_dict()})
        return
    print_table(found.levels())
    print_table(found.groups())
    print(*found.sentences(), sep="\n")
    if model is not None:
        print(f"wrote {path}")
        print(f"agelens estimate PHOTO --model {output or model} uses it")
    elif path is not None:
        print(f"wrote {output} and {path}")
        print(f"agelens calibrate LATER --apply {path} -o CORRECTED puts it on later tables")
    else:
        print("nothing was written: -o corrected.parquet writes the table and its calibration")


def _check_model(model: str, output: Path | None) -> None:
    """Whether the model is there and may be written to, before any work."""
    from agelens.inference.cards import MODELS, card_path  # noqa: PLC0415
    from agelens.workflows.chosen import card_of  # noqa: PLC0415

    card = card_of(model)
    if output is None and card_path(model) in MODELS.values():
        raise UsageError(
            f"{card.name} is a packaged model, whose card is not written to: name a new folder for "
            "a calibrated copy with -o"
        )
    check_new_folder(output)


def _apply_calibration(
    data: list[Path],
    calibration: Path,
    output: Path | None,
    level: float,
    columns: ColumnMapping | None,
    *,
    json: bool,
) -> None:
    if output is None or len(data) != 1:
        raise UsageError("--apply takes one table, and writes another: -o CORRECTED")
    from agelens.evaluation.given_tables import Reading, one_table  # noqa: PLC0415
    from agelens.evaluation.table_calibration import (  # noqa: PLC0415
        corrected_table,
        read_calibration,
    )
    from agelens.tables import write_predictions  # noqa: PLC0415

    found = read_calibration(calibration)
    given = one_table(data[0], Reading(columns))
    table = corrected_table(given.predictions, found, level=level)
    write_predictions(table, output)
    rows = int(table.frame["low_years"].notna().sum())
    if json:
        print_json({"output": str(output), "rows": len(table), "with_interval": rows})
        return
    print(*given.notes, sep="\n")
    print(f"wrote {output}: {rows:,} of {len(table):,} rows with an interval of {100 * level:g} %")


def stress(
    data: Path | None = None,
    /,
    *,
    model: str,
    output: Path,
    root: Path | None = None,
    split: str | None = None,
    split_seed: NonNegativeInt = 0,
    fold: str | None = None,
    part: str | None = None,
    limit: PositiveInt | None = None,
    corruptions: Annotated[
        list[str] | None, OneOf("agelens.evaluation.sensitivity.conditions:STRESSES")
    ] = None,
    reference: str | None = None,
    detector: Detector = "retinaface",
    workers: PositiveInt | None = None,
    json: bool = False,
    allow_mixed_age_kinds: bool = False,
    draws: NonNegativeInt = 1000,
    level: OpenShare = 0.95,
    seed: NonNegativeInt = 0,
) -> int:
    """Damage photos or chips, and measure how far estimates move.

    Five severities of each corruption, and other detectors: how errors grow, and whose face is not
    found any more.

    Args:
        data: a chip store, or a table of labelled photos; of a run by default its own test part.
        model: a name, a card, a folder with card and weights, or a run.
        output: a new folder for the page, figures and tables.
        root: where the table's photos are.
        split: a protocol, `column`, or a folder of agelens data split; of a run's own store by
            default the run's.
        split_seed: of the protocol.
        fold: which split, where there are several.
        part: only this part, such as valid, or all; of a run's own store test by default.
        limit: this many of the faces, drawn at random.
        corruptions: all by default; for a store those that can be done to chips.
        reference: a model to measure beside it, or the folder of its stress test on the same faces.
        detector: of faces in photos.
        workers: threads; all available cores by default.
        json: print JSON.
        allow_mixed_age_kinds: measure real, apparent and estimated ages together.
        draws: of the bootstrap, by person; 0 for no intervals.
        level: of the intervals.
        seed: of damages and draws.
    """
    check_new_folder(output)
    from agelens.evaluation import stress as stressed  # noqa: PLC0415
    from agelens.workflows.chosen import Chosen  # noqa: PLC0415

    with progress_bars("faces") as progress:
        found = stressed(
            data,
            model=model,
            root=root,
            chosen=Chosen(split, split_seed, fold, part, limit, seed),
            corruptions=corruptions,
            reference=reference,
            detector=detector,
            workers=workers,
            mix_age_kinds=allow_mixed_age_kinds,
            draws=draws,
            level=level,
            seed=seed,
            progress=progress,
        )
    from agelens.evaluation.reports.stress_page import (  # noqa: PLC0415
        corruption_table,
        detector_table,
    )

    detectors = detector_table(found.found).filter(["condition", "MAE", "increase", "failed"])
    tell(found, output, json=json, tables=[("", corruption_table(found.found)), ("", detectors)])
    return _SOME_FAILED if {*found.undamaged_statuses} - _READ else 0


def explain(
    photos: list[str] = [],  # noqa: B006 - never changed
    /,
    *,
    model: str = "agelens-1",
    output: Path | None = None,
    by_age: bool = False,
    method: Annotated[str, OneOf("agelens.workflows.explain:METHODS")] = "occlusion",
    patch: PositiveInt | None = None,
    stride: PositiveInt | None = None,
    fill: str | None = None,
    steps: PositiveInt | None = None,
    layer: str | None = None,
    sanity_check: bool = False,
    face: NonNegativeInt = 0,
    recursive: bool = False,
    root: Path | None = None,
    split: str | None = None,
    split_seed: NonNegativeInt = 0,
    fold: str | None = None,
    part: str | None = None,
    per_band: PositiveInt = 40,
    detector: Detector = "retinaface",
    workers: PositiveInt | None = None,
    json: bool = False,
    seed: NonNegativeInt = 0,
) -> int:
    """Draw which places of a face make it look older or younger to a model.

    Any model by occlusion; a run of agelens train by its gradients as well. Without -o nothing is
    kept: the numbers are printed. A heat map says where a number comes from, not whether it is
    right, and it is no test of fairness.

    Args:
        photos: photos, folders or patterns; with --by-age a chip store, or a table of labelled
            photos, of a run by default its own test part.
        model: a name, a card, a folder with card and weights, or a run.
        output: a new folder for the pictures and the page.
        by_age: mean maps of labelled faces by age, instead of single photos.
        method: all but occlusion need a run.
        patch: pixels of the chip; an eighth of its side by default.
        stride: pixels, of occlusion; half the patch, or by age all of it, by default.
        fill: what hides a place: mean (colour, for occlusion) or blur (integrated-gradients).
        steps: of integrated gradients; 32 by default.
        layer: of the Grad-CAM family; the last by default.
        sanity_check: compare with maps of the same network with shuffled weights.
        face: which face of a photo, 0 is the largest.
        recursive: walk into sub-folders.
        root: where a table's photos are.
        split: a protocol, `column`, or a folder of agelens data split; of a run's own store by
            default the run's.
        split_seed: of the protocol.
        fold: which split, where there are several.
        part: only this part, or all; of a run's own store test by default.
        per_band: faces of each ten years, with --by-age.
        detector: of faces.
        workers: threads; all available cores by default.
        json: print JSON.
        seed: of what is drawn at random.
    """
    if by_age and len(photos) > 1:
        raise UsageError("--by-age takes one chip store or one table of labelled photos")
    if not by_age and root is not None:
        raise UsageError("--root is for --by-age")
    check_new_folder(output)
    from agelens.evaluation import explain as explained  # noqa: PLC0415
    from agelens.workflows.chosen import Chosen  # noqa: PLC0415
    from agelens.workflows.explain import Method  # noqa: PLC0415

    with progress_bars("faces") as progress:
        found = explained(
            (photos[0] if photos else None) if by_age else photos,
            model=model,
            by_age=by_age,
            method=Method(method, patch, stride, fill, steps, layer),
            root=root,
            chosen=Chosen(split, split_seed, fold, part),
            per_band=per_band,
            face=face,
            recursive=recursive,
            sanity_check=sanity_check,
            detector=detector,
            workers=workers,
            seed=seed,
            progress=progress,
        )
    tell(found, output, json=json, tables=[("", found.to_frame())] if by_age and not json else [])
    if output is not None and not json and not by_age:
        print("pictures of people, for this machine only")
    return _SOME_FAILED if getattr(found, "failed", 0) else 0
