"""`agelens verify`, `search` and the group `identity`: whose face it is, across decades.

Recognition finds people who never asked to be found: the README says what it must not be used for.
"""

from __future__ import annotations

import json as json_text
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

from agelens.atomic import check_new_folder
from agelens.cli.options import NonNegativeFloat, NonNegativeInt, OneOf, PositiveInt, Share
from agelens.cli.output import print_rows
from agelens.errors import PhotoError, UsageError
from agelens.progress import progress_bars
from agelens.training.config_schema import LIGHTNING_OURS, ConfigSchema

if TYPE_CHECKING:
    from agelens.recognition.photo_pair import VerifiedFace
    from agelens.training.run_folder import RunFolder

_PHOTO_UNUSABLE: Final = 3
_ROWS_EXPECTED: Final = frozenset({"ok", "no_face", "several_faces"})
DetectorName = Annotated[str, OneOf("agelens.imaging.detectors:DETECTORS")]


def verify(
    first: str,
    second: str,
    *,
    extractor: str = "dlib-resnet29",
    false_match_rate: Share = 0.001,
    face: Literal["refuse", "largest"] = "refuse",
    detector: DetectorName = "retinaface",
    output: Path | None = None,
    json: bool = False,
) -> int:
    """Say whether two photos show one person, and how old both look.

    The threshold is that of both estimated ages. Nothing is kept unless -o names a folder for it.
    No proof of identity: see the README for what recognition must not be used for.

    Args:
        first: a photo.
        second: another one.
        extractor: a name, a card, or a folder with card and weights.
        false_match_rate: of pairs of different people that may be called the same.
        face: of a photo with several faces: refuse it, or take the largest.
        detector: finds the faces.
        output: a new folder for a page with both faces side by side.
        json: print JSON instead of sentences.
    """
    from agelens.recognition import verify as verify_photos  # noqa: PLC0415

    check_new_folder(output)
    with _photo_errors() as failed:
        verdict = verify_photos(
            first,
            second,
            extractor=extractor,
            false_match_rate=false_match_rate,
            face=face,
            detector=detector,
        )
    if failed:
        return _PHOTO_UNUSABLE
    page = None if output is None else verdict.save(output)
    if json:
        _print_line(verdict.to_json())
        return 0
    for line in (_age(verdict.first), _age(verdict.second), *verdict.sentences()):
        print(line)
    _tell_page(page)
    return 0


def _tell_page(page: Path | None) -> None:
    if page is not None:
        print(f"wrote {page}: it shows faces and tells people apart. Delete it when done")


def _age(face: VerifiedFace) -> str:
    doubt = f"; {face.estimate.refer}" if face.estimate.refer else ""
    several = f" (largest of {face.faces_found} faces)" if face.faces_found > 1 else ""
    return f"{face.photo}{several}: {face.age_words}{doubt}"


def search(
    query: str,
    folder: Path,
    *,
    index: Path | None = None,
    top: PositiveInt = 10,
    group: bool = False,
    output: Path | None = None,
    extractor: str = "dlib-resnet29",
    false_match_rate: Share = 0.001,
    face: Literal["refuse", "largest"] = "refuse",
    detector: DetectorName = "retinaface",
    workers: PositiveInt | None = None,
    json: bool = False,
) -> int:
    """Find the faces in a folder that are most like the face of one photo.

    The query itself is left out. Nothing is kept unless --index or -o names a folder. For your own
    photos and for consented research only: see the README for what recognition must not be used
    for.

    Args:
        query: a photo of the person.
        folder: photos to look through, at any depth.
        index: keep the faces' embeddings here, and only read what changed the next time.
        top: faces to show.
        group: also put all faces of the folder into groups of one person each.
        output: a new folder for a page with the faces by rank, by age and by date.
        extractor: a name, a card, or a folder with card and weights.
        false_match_rate: mark faces that would be called the same at it, as agelens verify does.
        face: of a query with several faces: refuse it, or take the largest.
        detector: finds the faces.
        workers: threads; all available cores by default.
        json: print JSON instead of a table.
    """
    from agelens.recognition import search as search_folder  # noqa: PLC0415

    check_new_folder(output)
    with _photo_errors() as failed, progress_bars("photos") as progress:
        found = search_folder(
            query,
            folder,
            index=index,
            top=top,
            group=group,
            extractor=extractor,
            false_match_rate=false_match_rate,
            face=face,
            detector=detector,
            workers=workers,
            progress=progress,
        )
    if failed:
        return _PHOTO_UNUSABLE
    page = None if output is None else found.save(output)
    if json:
        _print_line(found.to_json())
        return 0
    rows = [
        {
            "rank": one.rank,
            "photo": one.photo,
            "looks": one.face.age_words.removeprefix("looks "),
            "similarity": f"{one.similarity:.3f}",
            "called": one.decision.words,
        }
        for one in found.found
    ]
    if rows:
        print_rows(rows)
    for number, one in enumerate(found.groups or (), 1):
        if one.faces > 1:
            print(f"group {number}: {one.faces:,} faces, such as {', '.join(one.photos[:3])}")
    for line in found.sentences():
        print(line)
    if index is not None:
        changes = found.changes
        print(
            f"index {index}: {changes.read:,} photos read, {changes.gone:,} gone, "
            f"{changes.kept:,} as they were. It tells people apart: delete it when done"
        )
    _tell_page(page)
    return 0


def identity_embed(
    faces: list[str],
    *,
    output: Path,
    root: Path | None = None,
    extractor: str = "dlib-resnet29",
    crops: Literal["single", "concatenated", "added"] = "single",
    face: Literal["refuse", "largest"] | None = None,
    detector: DetectorName = "retinaface",
    recursive: bool = False,
    workers: PositiveInt | None = None,
    bulk: Path | None = None,
) -> int:
    """Embed faces into one Parquet file, labels beside vectors.

    A photo without a face, or with several, is a row that says so.

    Args:
        faces: a table of agelens data read, a chip store, or photos and folders of photos.
        output: a new file, E.parquet.
        root: where the photos of a table are; by default where the table says.
        extractor: a name, a card, or a folder with card and weights.
        crops: also look at the mirror image, and put both vectors beside or upon each other.
        face: of a photo with several faces: refuse it, or take the largest (of a table: the
            labelled one, or else a large and central one; of loose photos: refuse).
        detector: finds the faces of photos.
        recursive: also look into folders below folders.
        workers: threads; all available cores by default.
        bulk: spread a table's photos over processes as agelens bulk does, and keep results in this
            folder: a run that was killed goes on. It estimates ages as well.
    """
    from agelens.evaluation.table_checks import tally  # noqa: PLC0415
    from agelens.recognition import embed  # noqa: PLC0415
    from agelens.recognition.embedding_table import check_output  # noqa: PLC0415

    check_output(output)  # before hours of work
    with progress_bars("faces") as progress:
        if bulk is not None:
            if len(faces) != 1 or (extractor, crops, face) != ("dlib-resnet29", "single", None):
                raise UsageError(
                    "--bulk takes one table, and neither --extractor nor --crops nor --face; of "
                    "loose photos agelens bulk --embeddings makes a table"
                )
            from agelens.bulk.labelled import embeddings_of  # noqa: PLC0415 - where asked for
            from agelens.cli.bulk import of_table  # noqa: PLC0415 - as above
            from agelens.tables import read_table  # noqa: PLC0415 - as above

            samples = read_table(faces[0], extra=None)
            table_file, options = Path(faces[0]), {"detector": detector, "embeddings": True}
            of_table(table_file, bulk, progress, root=root, threads=workers, **options)
            table = embeddings_of(bulk, samples)
        else:
            table = embed(
                faces,
                root=root,
                extractor=extractor,
                crops=crops,
                face=face,
                detector=detector,
                recursive=recursive,
                workers=workers,
                progress=progress,
            )
    table.write(output)
    statuses = tally(table.frame["status"])
    print(", ".join(f"{count:,} {status}" for status, count in statuses.items()))
    chosen = int(((table.frame["faces"] > 1) & table.has_embedding).sum())
    if chosen:
        print(f"{chosen:,} of the photos show several faces, of which one was taken")
    print(f"wrote {output}: {table.model}")
    return _PHOTO_UNUSABLE if set(statuses) - _ROWS_EXPECTED else 0


def identity_add(
    network: Path,
    *,
    name: str,
    template: Annotated[str, OneOf("agelens.imaging.align:TEMPLATES")] = "arcface-112",
    color_order: Literal["RGB", "BGR"] | None = None,
    scale: Annotated[str, OneOf("agelens.recognition.own_extractor:SCALES")] | None = None,
    measure: Path | None = None,
    root: Path | None = None,
    dataset: str = "the user's faces",
    licence: str = "not stated",
    output: Path | None = None,
    json: bool = False,
) -> None:
    """Make an --extractor of your own embedding network: ArcFace, AdaFace, MobileFaceNet.

    Input size and layout are recognised by the network's shape, scale and colour order by drawn
    faces, or by the labelled faces of --measure, which must be of people that it was not trained
    on. Without --measure it embeds, and verify and search refuse it.

    Args:
        network: an ONNX file; or a folder that agelens import --task embedding, identity train or
            identity purify wrote, whose card says all but the rates.
        name: what it is called, and the new folder that --extractor takes.
        template: where the five points of a face lie in its chips.
        color_order: of its pixels, if you know it.
        scale: of its pixels, if you know it; arcface is -1 to 1, bytes 0 to 255, unit 0 to 1.
        measure: a table of agelens data read (with ages as a model sees them, by agelens data
            label, for rates by age).
        root: where the photos of that table are.
        dataset: what the card calls them.
        licence: of the weights, for the card.
        output: another new folder.
        json: print the card instead of sentences.
    """
    from agelens.recognition import add_extractor  # noqa: PLC0415

    with progress_bars("faces") as progress:
        found = add_extractor(
            network,
            name,
            template=template,
            folder=output,
            color_order=color_order,
            scale=scale,
            measure=measure,
            root=root,
            dataset=dataset,
            licence=licence,
            progress=progress,
        )
    if json:
        _print_line(dict(found.document))
        return
    for line in found.sentences():
        print(line)
    print(f"wrote {found.folder}: --extractor {found.folder} takes it")


def identity_purify(
    embeddings: Path,
    *,
    output: Path,
    valid: Path | None = None,
    purifier: Annotated[
        str, OneOf("agelens.recognition.embedding_purifier.purifiers:PURIFIERS")
    ] = "iefp",
    weights: tuple[NonNegativeFloat, ...] = (),
    epochs: PositiveInt = 10,
    seed: NonNegativeInt = 0,
    json: bool = False,
) -> None:
    """Train a small network that takes age out of embeddings, behind an extractor as it is.

    It needs people who have two faces or more, with ages (model-made ones will do). Three tenths
    of the people validate, and choose epoch and weight. What comes out is an --extractor of agelens
    identity embed; of verify and search once agelens identity add --measure has its rates.

    Args:
        embeddings: of agelens identity embed.
        output: a new folder.
        valid: embeddings of other people, by whom epoch and weight are chosen; by default by
            three tenths of the same.
        purifier: what keeps age out; none is the same training without any.
        weights: of the purifier beside the identity loss, to choose from; its own few by default.
        epochs: of the identity branch.
        seed: of all chance.
        json: print JSON instead of sentences.
    """
    from agelens.recognition import train_purifier  # noqa: PLC0415
    from agelens.recognition.purifier import CARD  # noqa: PLC0415

    check_new_folder(output)
    with progress_bars("epochs") as progress:
        found = train_purifier(
            embeddings,
            valid=valid,
            purifier=purifier,
            weights=tuple(weights),
            epochs=epochs,
            seed=seed,
            progress=progress,
        )
    found.write(output)
    if json:
        print((output / CARD).read_text(encoding="utf-8"), end="")
        return
    for line in found.sentences():
        print(line)
    print(f"wrote {output}")


def identity_test(
    protocol: Annotated[str, OneOf("agelens.recognition.protocols.published:PROTOCOLS")],
    embeddings: Path,
    *,
    gallery: Path | None = None,
    pairs: Path | None = None,
    iefp_thresholds: bool = False,
    draws: NonNegativeInt = 1000,
    level: Share = 0.95,
    seed: NonNegativeInt = 0,
    output: Path | None = None,
    json: bool = False,
) -> None:
    """Measure embeddings by a published protocol of face recognition across age.

    leave-one-out   FG-NET: each picture is searched for among all others; rank-1
    megaface        FG-NET as MegaFace does it: each two pictures of a person, all others between
                    them as distractors; rank-1 to rank-10
    probe-gallery   MORPH II, 3,000 or 10,000 people: the table searched for in --gallery; rank-1
    verification    LFW, CALFW or any list of --pairs in folds: accuracy, AUC, EER
    cacd-vs         CACD-VS, whose pairs follow from its file names; --pairs is not needed

    None of these figures makes a face a proof of identity: the page says what they are not for.

    Args:
        protocol: one of these.
        embeddings: a table of agelens identity embed: pictures, or probes.
        gallery: pictures to search (probe-gallery).
        pairs: LFW's pairs.txt, CALFW's list, or lines of a.jpg b.jpg 1 (verification).
        iefp_thresholds: thresholds of -1 to 1 in steps of 0.01, not every one, and AUC and EER of
            the folds' mean rates at them, as IEFP's code has its figures.
        draws: of the bootstrap by person; 0 for no intervals.
        level: of the intervals.
        seed: of the draws.
        output: a new folder for the page.
        json: print JSON instead of a table.
    """
    from agelens.recognition import run_protocol  # noqa: PLC0415
    from agelens.recognition.protocols.report import in_words  # noqa: PLC0415

    found = run_protocol(
        protocol,
        embeddings,
        gallery=gallery,
        pairs=pairs,
        iefp_thresholds=iefp_thresholds,
        draws=draws,
        level=level,
        seed=seed,
    )
    page = None if output is None else found.save(output)
    if json:
        _print_line(found.to_dict())
        return
    for rows in (found.to_frame(), found.gap_frame()):
        words = in_words(rows[rows["trials"] > 0])
        if len(words):
            print_rows([{str(k): v for k, v in row.items()} for row in words.to_dict("records")])
    for what, count in found.counts_frame().itertuples(index=False):
        print(f"{what}: {count:,}" if isinstance(count, int) else f"{what}: {count}")
    if page is not None:
        print(f"wrote {page}")


def identity_age(
    run: Path,
    store: Path,
    *,
    batch_size: PositiveInt = 512,
    seed: NonNegativeInt = 0,
    json: bool = False,
) -> None:
    """Measure how much age is left in an identity branch, as IEFP's test on FG-NET does.

    The age groups' mean error of the age branch, the bound on what it shares with the identity
    branch, and the likelihood behind the bound; each chip with its mirror image.

    Args:
        run: of agelens identity train --stage identity, with its checkpoints.
        store: chips cut as the run's, with ages, such as FG-NET's.
        batch_size: of a bound, which draws strangers from the batch.
        seed: of those draws.
        json: print JSON instead of a line.
    """
    from agelens.recognition.training.age_information import age_information  # noqa: PLC0415

    with progress_bars("faces") as progress:
        found = age_information(run, store, batch_size=batch_size, seed=seed, progress=progress)
    if json:
        _print_line(found.to_dict())
        return
    print(
        f"{found.pictures:,} pictures: age groups {found.group_distance:.3f} apart on average, "
        f"bound {found.bound_nats:.4f} nats, likelihood {found.likelihood:.3f}"
    )


IDENTITY_RUN: Final = ConfigSchema(
    plain=("stage", "seed", "gradient_clip", "clip_centres", "initial"),
    parts={
        "branch": "agelens.recognition.training.branch_choice.BranchChoice",
        "age_branch": "agelens.recognition.training.branch_choice.BranchChoice",
        "classes": "agelens.recognition.training.configuration.ClassOptions",
        "club": "agelens.recognition.training.configuration.CLUBOptions",
        "data": "agelens.recognition.training.identity_data.IdentityData",
        "optimizer": "agelens.recognition.training.configuration.SGDOptions",
        "likelihood_optimizer": "agelens.recognition.training.configuration.SGDOptions",
        "checkpoints": "agelens.training.run_options.CheckpointTimes",
        "trainer": "pytorch_lightning.trainer.trainer.Trainer",
    },
    classes=("margin", "schedule"),
    parser="agelens.recognition.training.configuration:identity_parser",
    # Two optimisers in turn clip and step by themselves.
    decided=LIGHTNING_OURS
    | {"gradient_clip_val", "gradient_clip_algorithm", "accumulate_grad_batches"},
)
"""The keys of `agelens identity train`."""
_TRAIN: Final = "agelens identity train"


def identity_train(
    words: list[str],
    *,
    output: Path | None = None,
    resume: Path | None = None,
    quiet: bool = False,
    print_config: bool = False,
    export: bool = True,
) -> None:
    """Train the two-branch network on chip stores with identities, or go on with a run.

    First an age branch (--stage age), then the identity branch beside it (--stage identity).

    Args:
        words: what is configured: --config RECIPE or FILE, and --KEY VALUE.
        output: folder of the run; by default one below runs/, named after the configuration.
        resume: go on with the run in this folder, from its last checkpoint.
        quiet: print nothing while training.
        print_config: print the whole configuration and stop.
        export: leave out ONNX file and card for agelens identity embed --extractor.
    """
    from agelens.cli.training import checked_words, run_folder  # noqa: PLC0415

    words = checked_words(
        words, _TRAIN, IDENTITY_RUN, output=output, resume=resume, starts=not print_config
    )
    from agelens.recognition.training.configuration import (  # noqa: PLC0415
        GROUPS,
        identity_parser,
        make_identity_run,
    )
    from agelens.recognition.training.train import train_identity  # noqa: PLC0415
    from agelens.training.configuration import config_text, parse_run  # noqa: PLC0415

    parser = identity_parser()
    config = parse_run(parser, words)
    if print_config:
        print(config_text(config, GROUPS), end="")
        return
    run = make_identity_run(parser, config)
    folder = run_folder(words, output or resume, _TRAIN)
    if resume and folder.summary.is_file():
        print(f"{folder.path} is finished already; nothing to do", file=sys.stderr)
        return
    summary = train_identity(run, folder.path, quiet=quiet, export=export)
    _tell(summary, folder)
    if export and run.stage == "identity":
        print(f"agelens identity embed --extractor {folder.path} uses it")


def _tell(summary: dict[str, Any], folder: RunFolder) -> None:
    left_out = ", ".join(f"{count:,} left out: {why}" for why, count in summary["left_out"].items())
    people = f" of {summary['identities']:,} people" if summary["identities"] else ""
    print(f"{summary['pictures']:,} pictures{people}" + (f"; {left_out}" if left_out else ""))
    print(f"{summary['epochs']} epochs in {summary['seconds']:.0f} s; wrote {folder.path}")
    if summary["stage"] == "age":
        print(f"--stage identity --age_branch.weights {folder.weights} goes on from it")


def _print_line(document: dict[str, Any]) -> None:
    """One JSON object, one line: many calls make JSON Lines."""
    print(json_text.dumps(document, ensure_ascii=False, allow_nan=False))


@contextmanager
def _photo_errors() -> Iterator[list[PhotoError]]:
    """Tells of a photo that cannot be used, and has it in the list afterwards."""
    failed: list[PhotoError] = []
    try:
        yield failed
    except PhotoError as error:
        print(f"agelens: error: {error}", file=sys.stderr)
        failed.append(error)
