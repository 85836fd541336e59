"""`agelens bulk`: any number of photos into a folder of Parquet files, over machines, resumed."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from agelens.bulk import BulkStatus, estimate, read_status
from agelens.cli.columns import column_mapping
from agelens.cli.options import WHOLE, NonNegativeInt, OneOf, PositiveInt
from agelens.errors import UsageError
from agelens.progress import Progress, progress_bars

_SOME_FAILED = 3
_READ = frozenset({"ok", "no_face"})


def bulk(
    inputs: Annotated[list[str], WHOLE] = [],  # noqa: B006 - it is only read
    /,
    *,
    output: str | None = None,
    status: str | None = None,
    model: str = "agelens-1",
    gender: bool = False,
    embeddings: bool = False,
    distribution: bool = False,
    columns: Annotated[list[str] | None, WHOLE] = None,
    root: str | None = None,
    recursive: bool = False,
    shard_rows: PositiveInt = 1000,
    detector: Annotated[str, OneOf("agelens.imaging.detectors:DETECTORS")] = "retinaface",
    longest_side: PositiveInt = 640,
    aligned: bool = False,
    address: str | None = None,
    num_gpus: NonNegativeInt = 0,
    threads: PositiveInt = 2,
    quiet: bool = False,
) -> int:
    """Estimate millions of photos into a folder of Parquet files, on one machine or a cluster.

    A run that was killed goes on where it was when the same command is given again.

    Args:
        inputs: photos, folders, patterns in quotes, - or a .txt file for a list of them; tables of
            paths or bytes (.parquet, .csv); WebDataset archives (.tar); or URLs of any of these
        output: a folder or its URL; every machine of a cluster must see it
        status: say how far the run in this folder is, and nothing else
        model: age model: a name, a card, or the folder of a run
        gender: also answer female or male
        embeddings: also write a vector of each face, for finding people again
        distribution: also write each face's whole age distribution
        columns: which column of a table is the path of a photo, or has its bytes: path=file
        root: where the paths of a table begin, if not where it says or in its own folder
        recursive: walk into sub-folders
        shard_rows: photos of a shard, which is done again where a worker dies
        detector: finds the faces
        longest_side: the detector searches a copy of at most this size
        aligned: pictures are chips of one face each, aligned as the model's training data were
        address: of a Ray cluster, or auto; else Ray is started here, and stopped
        num_gpus: GPUs to use, one a worker
        threads: cores of a worker
        quiet: no progress bar and no lines of report
    """
    if status is not None:
        if inputs or output is not None:
            raise UsageError("--status looks at a run, and needs neither inputs nor --output")
        print("\n".join(in_words(read_status(status))))
        return 0
    if not inputs or output is None:
        raise UsageError("name photos, and a folder for the results: agelens bulk photos -o DIR")
    with progress_bars("photos", quiet=quiet) as bars:

        def show(now: BulkStatus) -> None:
            rate = f", {now.photos_a_second:.1f} a second" if now.photos_a_second else ""
            bars(now.photos_done, now.photos, f"photos{rate}")

        done = estimate(
            inputs,
            output,
            model=model,
            gender=gender,
            embeddings=embeddings,
            distribution=distribution,
            columns=_columns(columns),
            root=root,
            recursive=recursive,
            shard_rows=shard_rows,
            detector=detector,
            longest_side=longest_side,
            aligned=aligned,
            address=address,
            num_gpus=num_gpus,
            threads=threads,
            on_progress=show,
            on_ray=None if quiet else _say_that_ray_starts,
        )
    if not quiet:
        print("\n".join(in_words(done)))
        print(f"wrote {output}")
    return _SOME_FAILED if set(done.statuses) - _READ else 0


def of_table(
    table: Path,
    folder: Path,
    bars: Progress,
    *,
    root: Path | None,
    threads: int | None,
    **options: Any,
) -> None:
    """Estimate each labelled face of a table into `folder`, for another command."""
    estimate(
        [table],
        folder,
        labelled=True,
        root=None if root is None else str(root),
        threads=threads or 2,
        on_progress=lambda now: bars(now.photos_done, now.photos or 0),
        on_ray=_say_that_ray_starts,
        **options,
    )


def _say_that_ray_starts() -> None:
    print("starting Ray on this machine; it is stopped in the end", file=sys.stderr)


def _columns(words: list[str] | None) -> Mapping[str, str] | None:
    mapping = column_mapping(words)
    return None if mapping is None else {name: str(given) for name, given in mapping.items()}


def in_words(status: BulkStatus) -> list[str]:
    """What is known of a run, a line each."""
    of = f" of {status.photos:,}" if status.photos is not None else ""
    lines = [
        f"{status.photos_done:,}{of} photos, {status.shards_done:,} of {status.shards:,} shards",
        ", ".join(f"{count:,} {word}" for word, count in sorted(status.statuses.items())),
    ]
    if status.photos_a_second is not None and status.seconds_left is not None:
        minutes = round(status.seconds_left / 60)
        left = f"{minutes:,} minutes left" if minutes > 1 else "a minute left at most"
        lines.append(f"{status.photos_a_second:.1f} photos a second, {left}")
    if not status.is_whole and not status.is_running:
        lines.append("nobody works on it now; the same command goes on")
    return [line for line in lines if line]
