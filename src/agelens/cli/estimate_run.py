"""What `agelens estimate` does: sources in, rows out, in order."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections import Counter
from collections.abc import Generator, Iterable, Iterator
from contextlib import ExitStack, closing
from itertools import groupby
from pathlib import Path
from typing import Any, Final, NoReturn

from agelens.cli.camera_window import has_display, in_window
from agelens.cli.drawings import Drawings
from agelens.cli.resume import OnDone, skip_done
from agelens.cli.view import View
from agelens.errors import PhotoError, UsageError
from agelens.imaging.sources import Source, expand
from agelens.imaging.video import camera_frames, read_frames
from agelens.inference.estimator import AgeEstimator
from agelens.inference.photo_preparation import PhotoLike
from agelens.inference.results import IfExists, ResultFile, is_whole, raw_fields
from agelens.records import Photo, PhotoResult

_SOME_FAILED: Final = 3
_ADDED_FIELDS: Final = ("distribution", "gender", "raw")


def run(options: argparse.Namespace) -> int:
    """Carry out one `agelens estimate`; returns the exit status."""
    signal.signal(signal.SIGTERM, _interrupt)
    # A damaged video becomes a row; FFmpeg's own words about it would only cut up the table.
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
    # Before any file is opened: a mistyped model must not cost an earlier run's output.
    estimator = _estimator(options)
    if options.resume and is_whole(options.output):
        print(f"agelens: {options.output} is whole already; nothing to do", file=sys.stderr)
        return 0
    drawings = Drawings(options.draw) if options.draw else None
    table = options.output is not None or (sys.stdout.isatty() and not options.raw)
    with ExitStack() as stack:
        output = None
        if options.output:
            output = stack.enter_context(ResultFile(options.output, if_exists=_if_exists(options)))
        view = stack.enter_context(View(table=table, quiet=options.quiet))
        if options.camera is not None:
            results = _camera(estimator, options, drawings)
        else:
            sources = view.counting(expand(options.inputs, recursive=options.recursive))
            if output and options.resume:
                optional = {name: getattr(options, name) for name in _ADDED_FIELDS}
                on_done = _on_done(view, drawings)
                sources = skip_done(output, sources, estimator.settings, optional, on_done)
            results = _files(estimator, sources, options.every, drawings)
        for result in stack.enter_context(closing(results)):
            row = _row(result, estimator, options)
            if output:
                output.append(row)
            view.show(result, row)
    return _SOME_FAILED if view.failed else 0


def _estimator(options: argparse.Namespace) -> AgeEstimator:
    estimator = AgeEstimator(
        options.model,
        options.detector,
        device=options.device,
        gender=options.gender,
        mirror=options.mirror,
        longest_side=options.longest_side,
        workers=options.workers,
        max_pixels=options.max_megapixels * 1_000_000,
    )
    estimator.check_takes_photos()
    name, kind = estimator.card.name, estimator.card.output_kind
    if options.raw and kind != "ordinal-logits":
        raise UsageError(
            f"--raw shows ordinal logits, as CORAL, CORN and OR-CNN models have them; {name} "
            f"answers with a {kind}. Leave out --raw"
        )
    if options.distribution and kind == "mean-spread":
        raise UsageError(
            f"{name} answers with an age and its spread, so there is no --distribution to add"
        )
    return estimator


def _row(
    result: PhotoResult, estimator: AgeEstimator, options: argparse.Namespace
) -> dict[str, Any]:
    row = result.to_json(distribution=options.distribution)
    spec = estimator.card.answer
    if options.raw and spec is not None:
        for fields, face in zip(row["faces"], result.faces, strict=True):
            if face.answer is not None:
                fields.update(raw_fields(face.answer, spec))
    return row


def _if_exists(options: argparse.Namespace) -> IfExists:
    if options.resume:
        return "resume"
    return "overwrite" if options.overwrite else "refuse"


def _on_done(view: View, drawings: Drawings | None) -> OnDone:
    """What to do with a source that an earlier run has done: its drawing's name stays taken."""

    def on_done(source: Source, statuses: Counter[str]) -> None:
        view.skipped(source, statuses)
        if drawings:
            drawings.skip(source)

    return on_done


def _files(
    estimator: AgeEstimator, sources: Iterable[Source], every: int, drawings: Drawings | None
) -> Generator[PhotoResult]:
    for kind, group in groupby(sources, key=lambda source: source.kind):
        if kind == "photo":
            photos = (_photo(source, drawings) for source in group)
            on_photo = drawings.photo if drawings else None
            yield from estimator.stream(photos, on_photo=on_photo)
            continue
        for source in group:
            frames = read_frames(source.path, every=every)
            tracked = estimator.track(_named(source.name, frames))
            yield from drawings.video(source, tracked) if drawings else (r for _, r in tracked)


def _photo(source: Source, drawings: Drawings | None) -> PhotoLike:
    if source.problem:
        return PhotoError(source.problem, status=source.status, source=source.name)
    if drawings:
        drawings.allot(source)
    return source.path


def _camera(
    estimator: AgeEstimator, options: argparse.Namespace, drawings: Drawings | None
) -> Generator[PhotoResult]:
    camera = Source(Path(f"camera:{options.camera}"), "video")
    tracked: Iterator[tuple[Photo | None, PhotoResult]] = estimator.track(
        _named(camera.name, camera_frames(options.camera, every=options.every)), live=True
    )
    if not options.quiet and has_display():
        tracked = in_window(tracked)
    yield from drawings.video(camera, tracked) if drawings else (r for _, r in tracked)


def _named(name: str, frames: Iterator[Photo]) -> Iterator[Photo | PhotoError]:
    """The frames of a video; a video that cannot be read becomes a row like any other."""
    try:
        yield from frames
    except PhotoError as error:
        yield PhotoError(str(error), status=error.status, source=name)


def _interrupt(_: int, __: object) -> NoReturn:
    """SIGTERM ends a run as Ctrl-C does: rows kept, tables written."""
    raise KeyboardInterrupt
