"""What `agelens identity test` does: embeddings in, a protocol's figures out."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from typing import Any, Final

from agelens.atomic import atomic_folder
from agelens.cli.registries import show
from agelens.data.datasets.cacd_vs import cacd_vs_pairs
from agelens.data.datasets.pair_files import read_pair_file
from agelens.data.datasets.pairs import PairList, pair_table
from agelens.errors import UnknownNameError, UsageError
from agelens.recognition.embedding_table import EmbeddingTable, read_embeddings
from agelens.recognition.protocols import (
    IEFP_THRESHOLDS,
    Identification,
    Resampling,
    Verification,
    leave_one_out,
    megaface_style,
    probe_gallery,
    verification,
)
from agelens.recognition.protocols.report import (
    PAGE_NAME,
    counts,
    gap_rows,
    in_words,
    protocol_document,
    rate_rows,
    write_protocol,
)

_Found = Identification | Verification


def run(options: argparse.Namespace) -> int:
    """Measure, write the folder, and print JSON or the figures."""
    protocol = _protocol(options)
    if options.draws < 0 or not 0 < options.level < 1:
        raise UsageError("--draws is 0 or more, and --level between 0 and 1")
    how = Resampling(options.draws, options.level, options.seed)
    found = protocol(read_embeddings(options.embeddings), options, how)
    if options.output is not None:
        with atomic_folder(options.output, "result") as folder:
            write_protocol(found, folder)
    if options.json:
        print(json.dumps(protocol_document(found), ensure_ascii=False, allow_nan=False))
    else:
        _tell(found)
        if options.output is not None:
            print(f"wrote {options.output / PAGE_NAME}")
    return 0


def _protocol(options: argparse.Namespace) -> Callable[..., _Found]:
    if options.protocol not in PROTOCOLS:
        raise UnknownNameError("protocol", options.protocol, PROTOCOLS)
    one, takes = PROTOCOLS[options.protocol]
    given = {name for name in _OF_SOME if getattr(options, name)}
    for name in sorted(given - takes):
        raise UsageError(f"--{name.replace('_', '-')} does not go with {options.protocol}")
    return one


def _leave_one_out(table: EmbeddingTable, _: Any, how: Resampling) -> _Found:
    return leave_one_out(table, resampling=how)


def _megaface(table: EmbeddingTable, _: Any, how: Resampling) -> _Found:
    return megaface_style(table, resampling=how)


def _probe_gallery(table: EmbeddingTable, options: argparse.Namespace, how: Resampling) -> _Found:
    if options.gallery is None:
        raise UsageError("probe-gallery also needs --gallery: the pictures that are searched")
    return probe_gallery(table, read_embeddings(options.gallery), resampling=how)


def _verification(table: EmbeddingTable, options: argparse.Namespace, how: Resampling) -> _Found:
    if options.pairs is None:
        raise UsageError("verification also needs --pairs: the list that the owner ships")
    return _verified(table, read_pair_file(options.pairs), options, how)


def _cacd_vs(table: EmbeddingTable, options: argparse.Namespace, how: Resampling) -> _Found:
    return _verified(table, cacd_vs_pairs(), options, how)


def _verified(
    table: EmbeddingTable, pairs: PairList, options: argparse.Namespace, how: Resampling
) -> Verification:
    return verification(
        table,
        pair_table(pairs),
        protocol=options.protocol,
        thresholds=IEFP_THRESHOLDS if options.iefp_thresholds else None,
        resampling=how,
    )


_OF_SOME: Final = ("gallery", "pairs", "iefp_thresholds")
PROTOCOLS: Final[dict[str, tuple[Callable[..., _Found], frozenset[str]]]] = {
    "leave-one-out": (_leave_one_out, frozenset()),
    "megaface": (_megaface, frozenset()),
    "probe-gallery": (_probe_gallery, frozenset({"gallery"})),
    "verification": (_verification, frozenset({"pairs", "iefp_thresholds"})),
    "cacd-vs": (_cacd_vs, frozenset({"iefp_thresholds"})),
}


def _tell(found: _Found) -> None:
    for rows in (rate_rows(found), gap_rows(found)):
        words = in_words(rows[rows["trials"] > 0])
        if len(words):
            show(
                [{str(k): v for k, v in row.items()} for row in words.to_dict("records")],
                as_json=False,
            )
    for what, count in counts(found).itertuples(index=False):
        print(f"{what}: {count:,}" if isinstance(count, int) else f"{what}: {count}")
