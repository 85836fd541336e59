"""The published protocols by name, and one function that runs any of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

from agelens.data.datasets.base import read_lines
from agelens.data.datasets.cacd_vs import cacd_vs_pairs
from agelens.data.datasets.calfw import calfw_pairs
from agelens.data.datasets.lfw import lfw_pairs
from agelens.data.datasets.pairs import PairList, PairTable, pair_table, plain_pairs
from agelens.errors import DatasetError, UnknownNameError, UsageError
from agelens.recognition.embedding_table import EmbeddingTable, read_embeddings
from agelens.recognition.protocols.identification import Identification
from agelens.recognition.protocols.pair_scores import IEFP_THRESHOLDS
from agelens.recognition.protocols.rates import Resampling
from agelens.recognition.protocols.searches import leave_one_out, megaface_style, probe_gallery
from agelens.recognition.protocols.verification import Verification, verification

PROTOCOLS: Final[dict[str, frozenset[str]]] = {
    "leave-one-out": frozenset(),
    "megaface": frozenset(),
    "probe-gallery": frozenset({"gallery"}),
    "verification": frozenset({"pairs", "iefp_thresholds"}),
    "cacd-vs": frozenset({"iefp_thresholds"}),
}
"""Each with the arguments that it takes beside those that all take."""

_SEARCHES: Final[dict[str, Callable[..., Identification]]] = {
    "leave-one-out": leave_one_out,
    "megaface": megaface_style,
}


def run_protocol(
    protocol: str,
    embeddings: EmbeddingTable | str | Path,
    *,
    gallery: EmbeddingTable | str | Path | None = None,
    pairs: PairTable | str | Path | None = None,
    iefp_thresholds: bool = False,
    draws: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> Identification | Verification:
    """Measure embeddings by a published protocol of face recognition across age.

    >>> run_protocol("leave-one-out", "fgnet.parquet")  # doctest: +SKIP

    Args:
        protocol: a name in `PROTOCOLS`.
        embeddings: a table of embeddings, or its file: pictures, or probes.
        gallery: pictures to search (``probe-gallery``).
        pairs: a list, or its file: LFW's `pairs.txt`, CALFW's, or lines of ``a.jpg b.jpg 1``
            (``verification``).
        iefp_thresholds: thresholds of -1 to 1 in steps of 0.01, as IEFP's figures, in place of
            every one there is.
        draws: of the bootstrap by person; 0 for no intervals.
        level: of the intervals.
        seed: of the draws.

    Raises:
        UnknownNameError: there is no such protocol.
        UsageError: an argument that does not go with it, or one that it lacks.
        TableError: nothing in the table can be measured.
        DatasetError: a list of pairs that cannot be read.
    """
    if protocol not in PROTOCOLS:
        raise UnknownNameError("protocol", protocol, PROTOCOLS)
    given = {"gallery": gallery is not None, "pairs": pairs is not None}
    given["iefp_thresholds"] = iefp_thresholds
    for name, is_given in given.items():
        if is_given and name not in PROTOCOLS[protocol]:
            raise UsageError(f"--{name.replace('_', '-')} does not go with {protocol}")
    if draws < 0 or not 0 < level < 1:
        raise UsageError("--draws is 0 or more, and --level between 0 and 1")
    how = Resampling(draws, level, seed)
    table = _table(embeddings)
    if protocol in _SEARCHES:
        return _SEARCHES[protocol](table, resampling=how)
    if protocol == "probe-gallery":
        if gallery is None:
            raise UsageError("probe-gallery also needs --gallery: the pictures that are searched")
        return probe_gallery(table, _table(gallery), resampling=how)
    thresholds = IEFP_THRESHOLDS if iefp_thresholds else None
    listed = pair_table(cacd_vs_pairs()) if protocol == "cacd-vs" else _pairs(pairs)
    return verification(table, listed, protocol=protocol, thresholds=thresholds, resampling=how)


def _table(embeddings: EmbeddingTable | str | Path) -> EmbeddingTable:
    return embeddings if isinstance(embeddings, EmbeddingTable) else read_embeddings(embeddings)


def _pairs(pairs: PairTable | str | Path | None) -> PairTable:
    if pairs is None:
        raise UsageError("verification also needs --pairs: the list that the owner ships")
    return pairs if isinstance(pairs, PairTable) else pair_table(read_pair_file(pairs))


def read_pair_file(path: str | Path) -> PairList:
    """The pairs of LFW's `pairs.txt`, of CALFW's `pairs_CALFW.txt`, or of a plain list.

    A plain list has lines `a.jpg b.jpg 1` (1 same, 0 or -1 not) in ten folds of equal length, as
    IEFP's lists of CACD-VS and CALFW.

    Raises:
        DatasetError: the file is of neither form; the line that shows it is named.
    """
    path = Path(path)
    first = read_lines(path)[0].split()
    return _reader(path, first)(path)


def _reader(path: Path, first: list[str]) -> Callable[[Path], PairList]:
    if first and all(field.isdecimal() for field in first):
        return lfw_pairs
    if len(first) >= 3 and first[-1] in ("1", "0", "-1"):
        return plain_pairs
    if len(first) == 2 and first[1].isdecimal():
        return calfw_pairs
    raise DatasetError(
        f"{path} is no list of pairs: its first line is {' '.join(first)[:80]!r}. Expected LFW's "
        "counts ('10 300'), CALFW's 'a.jpg 1', or 'a.jpg b.jpg 1'"
    )
