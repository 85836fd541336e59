"""`--resume`: skip what an earlier run has done, and refuse what it did differently."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Any, Final, TypeAlias

from agelens.errors import UsageError
from agelens.imaging.sources import Source
from agelens.inference.result_files import RAW_FIELDS, DoneRow, ResultFile

OnDone: TypeAlias = Callable[[Source, Counter[str]], None]

_FIELD_OF: Final = {"raw": RAW_FIELDS[0]}  # where an option's field has another name


@dataclass(slots=True)
class _DoneSource:
    """The rows of one source: one for a photo, one a frame for a video."""

    first: dict[str, Any]
    last: dict[str, Any]
    end: int
    statuses: Counter[str]


def skip_done(
    output: ResultFile,
    sources: Iterable[Source],
    settings: Mapping[str, str],
    optional: Mapping[str, bool],
    on_done: OnDone,
) -> Iterator[Source]:
    """The sources that are left, once `output` is cut back to its last whole source.

    Args:
        output: rows of the earlier run are read from it and checked.
        sources: the same sources, in the same order, as that run had.
        settings: fields that every row must have, with their values.
        optional: options, each with whether its field must be in every face or in none.
        on_done: told each source that is skipped and how often its rows have each status.

    Raises:
        UsageError: the rows were made from other inputs or with other settings.
    """
    left = iter(sources)
    keep = 0
    done_sources = _by_source(output.done())
    done = next(done_sources, None)
    while done:
        following = next(done_sources, None)
        source = next(left, None)
        if source is None or source.name != done.first["photo"]:
            raise UsageError(
                f"{output.journal} was made from other inputs: it goes on with "
                f"{done.first['photo']!r}, this run with {source.name if source else 'nothing'!r}. "
                "Give the same inputs, or use --overwrite"
            )
        _check(output, done.first, settings, optional)
        if source.kind == "video" and following is None:
            # Nothing in the rows tells a whole video from one cut short: do it again.
            left = chain([source], left)
            break
        keep = done.end
        on_done(source, done.statuses)
        done = following
    output.keep(keep)
    return left


def _by_source(rows: Iterable[DoneRow]) -> Iterator[_DoneSource]:
    group: _DoneSource | None = None
    for done in rows:
        row = done.row
        if group and _continues(group.last, row):
            group.last, group.end = row, done.end
            group.statuses[row["status"]] += 1
            continue
        if group:
            yield group
        group = _DoneSource(row, row, done.end, Counter([row["status"]]))
    if group:
        yield group


def _continues(last: dict[str, Any], row: dict[str, Any]) -> bool:
    """Whether `row` is a later frame of the video of `last`."""
    same = last["photo"] == row["photo"]
    return same and "frame" in last and row.get("frame", -1) > last["frame"]


def _check(
    output: ResultFile,
    row: dict[str, Any],
    settings: Mapping[str, str],
    optional: Mapping[str, bool],
) -> None:
    for field, value in settings.items():
        if row.get(field) != value:
            raise UsageError(
                f"{output.journal} was made with {field} {row.get(field)!r}, this run has "
                f"{value!r}. Give the same options, or use --overwrite"
            )
    for option, wanted in optional.items():
        field = _FIELD_OF.get(option, option)
        if any((field in face) != wanted for face in row["faces"]):
            raise UsageError(
                f"{output.journal} was made {'without' if wanted else 'with'} --{option}. "
                "Give the same options, or use --overwrite"
            )
