"""What `agelens estimate` does: sources in, rows out, in order."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections import Counter
from collections.abc import Generator, Iterable, Iterator
from contextlib import ExitStack, closing, contextmanager
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from agelens.atomic import write_atomically
from agelens.cli.view import View
from agelens.errors import FolderGoneError, OutputError, PhotoError, UsageError
from agelens.imaging.sources import Source, expand
from agelens.inference.estimator import AgeEstimator
from agelens.inference.photo_preparation import PhotoLike
from agelens.inference.results import PhotoResult
from agelens.records import Photo
from agelens.sessions import keep_freed_memory

# Imported in functions: what only some runs need.
if TYPE_CHECKING:
    from agelens.cli.drawings import Drawings
    from agelens.cli.resume import OnDone
    from agelens.inference.result_files import IfExists, ResultFile

_SOME_FAILED: Final = 3
_ADDED_FIELDS: Final = ("distribution", "gender", "raw")


def run(options: argparse.Namespace) -> int:
    """Carry out one `agelens estimate`; returns the exit status."""
    # A damaged video becomes a row; FFmpeg's own words about it would only cut up the table.
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
    keep_freed_memory()
    # Before any file is opened: a mistyped model must not cost an earlier run's output.
    estimator = _estimator(options)
    if options.resume and _is_whole(options.output):
        print(f"agelens: {options.output} is whole already; nothing to do", file=sys.stderr)
        return 0
    drawings = _drawings(options)
    files = None if options.json_dir is None else JSONFiles(options.json_dir)
    table = options.output is not None or (sys.stdout.isatty() and not options.raw)
    with ExitStack() as stack:
        output = stack.enter_context(_output(options)) if options.output else None
        view = stack.enter_context(View(table=table, quiet=options.quiet))
        if options.camera is not None:
            results = _camera(estimator, options, drawings)
        else:
            sources = view.counting(expand(options.inputs, recursive=options.recursive))
            if output and options.resume:
                from agelens.cli.resume import skip_done  # noqa: PLC0415

                optional = {name: getattr(options, name) for name in _ADDED_FIELDS}
                on_done = _on_done(view, drawings)
                sources = skip_done(output, sources, estimator.settings, optional, on_done)
            results = _files(estimator, sources, options.every, drawings)
        with _told_what_is_kept(options.output):
            for result in stack.enter_context(closing(results)):
                row = _row(result, estimator, options)
                if output:
                    output.append(row)
                if files is not None:
                    files.write(row)
                view.show(result, row)
    return _SOME_FAILED if view.failed else 0


@contextmanager
def _told_what_is_kept(output: Path | None) -> Iterator[None]:
    try:
        yield
    except (KeyboardInterrupt, FolderGoneError) as stopped:
        if output is None:
            raise
        told = str(stopped) or "interrupted"
        kept = f"the rows so far are kept for {output}, and --resume goes on"
        raise type(stopped)(f"{told}; {kept}") from stopped


class JSONFiles:
    """One JSON file a photo in `folder`, named after it.

    Where two photos share a name, the later gets `-2`. A frame of a video has its number behind
    the name.

    Raises:
        OutputError: the folder cannot be made.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._taken: set[str] = set()
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(f"cannot make the folder {folder}: {error.strerror}") from error

    def write(self, row: dict[str, Any]) -> None:
        """Write one result row; raises OutputError where that fails."""
        frame = f"-frame{row['frame']}" if row.get("frame") is not None else ""
        stem = f"{Path(row['photo']).stem}{frame}"
        name, number = f"{stem}.json", 1
        while name in self._taken:
            number += 1
            name = f"{stem}-{number}.json"
        self._taken.add(name)
        text = json.dumps(row, ensure_ascii=False, allow_nan=False, indent=2)
        write_atomically(self.folder / name, f"{text}\n".encode())


def _is_whole(output: Path) -> bool:
    from agelens.inference.result_files import is_whole  # noqa: PLC0415

    return is_whole(output)


def _output(options: argparse.Namespace) -> ResultFile:
    from agelens.inference.result_files import ResultFile  # noqa: PLC0415

    return ResultFile(options.output, if_exists=_if_exists(options))


def _drawings(options: argparse.Namespace) -> Drawings | None:
    if options.draw is None:
        return None
    from agelens.atomic import remove_partials  # noqa: PLC0415
    from agelens.cli.drawings import Drawings  # noqa: PLC0415

    drawings = Drawings(options.draw)
    if options.resume:
        remove_partials(options.draw)  # of the run that was killed
    return drawings


def _estimator(options: argparse.Namespace) -> AgeEstimator:
    estimator = AgeEstimator(
        options.model,
        options.detector,
        device=options.device,
        gender=options.gender,
        mirror=options.mirror,
        aligned=options.aligned,
        threshold=options.threshold,
        calibrated=not options.uncalibrated,
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
        from agelens.inference.result_files import raw_fields  # noqa: PLC0415

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
            yield from _video(estimator, source, every, drawings)


def _photo(source: Source, drawings: Drawings | None) -> PhotoLike:
    if source.problem:
        return PhotoError(source.problem, status=source.status, source=source.name)
    if drawings:
        drawings.allot(source)
    return source.path


def _video(
    estimator: AgeEstimator, source: Source, every: int, drawings: Drawings | None
) -> Iterator[PhotoResult]:
    from agelens.imaging.video import error_as_last, read_frames  # noqa: PLC0415

    frames = error_as_last(read_frames(source.path, every=every), source.name)
    tracked = estimator.track(frames, bgr=False)
    return drawings.video(source, tracked) if drawings else (result for _, result in tracked)


def _camera(
    estimator: AgeEstimator, options: argparse.Namespace, drawings: Drawings | None
) -> Generator[PhotoResult]:
    from agelens.cli.drawings import has_display, in_window  # noqa: PLC0415
    from agelens.imaging.video import camera_frames, camera_name, error_as_last  # noqa: PLC0415

    name = camera_name(options.camera)
    frames = error_as_last(camera_frames(options.camera, every=options.every), name)
    tracked: Iterator[tuple[Photo | None, PhotoResult]] = estimator.track(
        frames, bgr=False, live=True
    )
    if not options.quiet and has_display():
        tracked = in_window(tracked)
    camera = Source(Path(name), "video")
    yield from drawings.video(camera, tracked) if drawings else (r for _, r in tracked)
