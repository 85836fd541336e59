"""`store.json`: what a store is, how it was made, of what, and the hash of each shard."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final, Literal, Self, TypeAlias, get_args

import cv2
import numpy as np

from agelens.errors import DatasetError, UnknownNameError, UsageError, shortened
from agelens.foreign_files import decoding, json_object
from agelens.imaging.align import FILLS, TIGHTEST_MARGIN, WIDEST_MARGIN, template_named
from agelens.records import RGB
from agelens.version import __version__

DEFAULT_QUALITY: Final = 95

_SUFFIXES: Final = {"jpeg": ".jpg", "png": ".png", "webp": ".webp"}
# Full colour resolution: at 64 to 112 pixels halved chroma takes the rim of eyes and lips.
_QUALITY_FLAGS: Final = {
    "jpeg": (
        *(cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444),
        cv2.IMWRITE_JPEG_QUALITY,
    ),
    "webp": (cv2.IMWRITE_WEBP_QUALITY,),
}


@dataclass(frozen=True, slots=True)
class ChipEncoding:
    """How chips are encoded: the same pixels give the same bytes.

    Args:
        name: ``jpeg``, ``webp`` or ``png``, which loses nothing.
        quality: 1 to 100 for the first two, 95 by default; PNG has none.

    Raises:
        UnknownNameError: another name.
        UsageError: a quality out of range, or for PNG.
    """

    name: str = "jpeg"
    quality: int | None = None

    def __post_init__(self) -> None:
        if self.name not in _SUFFIXES:
            raise UnknownNameError("chip encoding", self.name, _SUFFIXES)
        if self.name == "png":
            if self.quality is not None:
                raise UsageError("PNG has no quality: leave it out, or choose 'jpeg' or 'webp'")
            return
        quality = DEFAULT_QUALITY if self.quality is None else self.quality
        if not 1 <= quality <= 100:
            raise UsageError(f"quality must be 1 to 100, got {quality}")
        object.__setattr__(self, "quality", quality)

    def encode(self, rgb: RGB) -> bytes:
        """The chip [S, S, 3] as the bytes of a picture file."""
        flags = _QUALITY_FLAGS.get(self.name, ())
        parameters = [*flags, self.quality] if self.quality is not None else []
        _, encoded = cv2.imencode(
            _SUFFIXES[self.name], cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR), parameters
        )
        return encoded.tobytes()


def decode_chip(encoded: Any, out: RGB | None = None) -> RGB | None:
    """The chip [S, S, 3] in `encoded` (bytes or another buffer); None where it is damaged.

    Args:
        encoded: what `ChipEncoding.encode` gave.
        out: uint8 [S, S, 3], C-contiguous, to decode into.
    """
    bgr = cv2.imdecode(np.frombuffer(encoded, dtype=np.uint8), cv2.IMREAD_COLOR)
    if bgr is None or (out is not None and bgr.shape != out.shape):
        return None
    return np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB, dst=out), dtype=np.uint8)


Alignment: TypeAlias = Literal["similarity", "rotate-crop", "as-shipped"]
ALIGNMENTS: Final[tuple[str, ...]] = get_args(Alignment)

BOXES: Final = ("detector", "table")

DEFAULT_TEMPLATE: Final = "dlib-64"
DEFAULT_SIZE: Final = 112
ROWS_PER_SHARD: Final = 1024

_SMALLEST: Final = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreSettings:
    """Everything but the table that decides a chip's bytes.

    `alignment` is ``similarity`` (five landmarks onto `template`), ``rotate-crop`` (the
    two-pass rule) or ``as-shipped`` (the owner aligned the pictures; resized only, without
    detection). `margin` is the share of width and height shown around the frame.
    `fill` is what stands beyond the photo (`agelens.imaging.align.FILLS`), `boxes` who says
    where faces are: the ``detector``, or the ``table`` wherever it does.

    Raises:
        UsageError: a number out of range, or a fill that this alignment has not.
        UnknownNameError: another fill.
    """

    alignment: Alignment
    detector: str | None
    longest_side: int | None
    template: str | None
    size: int
    margin: float
    encoding: str
    quality: int | None
    max_pixels: int
    rows_per_shard: int
    fill: str = "black"
    boxes: str = "detector"
    licences: Mapping[str, str] = field(default_factory=dict)
    agelens_version: str = __version__

    def __post_init__(self) -> None:
        if self.size < _SMALLEST:
            raise UsageError(f"chips of {self.size} pixels: the least is {_SMALLEST}")
        tightest = TIGHTEST_MARGIN if self.alignment == "similarity" else 0.0
        if not tightest <= self.margin <= WIDEST_MARGIN:
            raise UsageError(
                f"margin is a share of the frame, {tightest:g} to {WIDEST_MARGIN:g}, "
                f"got {self.margin}"
            )
        if self.fill not in FILLS:
            raise UnknownNameError("fill", self.fill, FILLS)
        if self.fill != "black" and self.alignment != "similarity":
            raise UsageError(f"{self.alignment} chips are filled with black only")
        if self.boxes not in BOXES:
            raise UnknownNameError("source of boxes", self.boxes, BOXES)
        if self.boxes != "detector" and self.alignment == "as-shipped":
            raise UsageError("aligned pictures are not cut: leave out --boxes")
        if self.rows_per_shard < 1:
            raise UsageError(f"a shard has at least 1 row, got {self.rows_per_shard}")

    def to_json(self) -> dict[str, Any]:
        """Plain JSON types by name."""
        settings = asdict(self) | {"licences": dict(self.licences)}
        if self.fill == "black":  # stores of before there was a choice go on being the same
            del settings["fill"]
        if self.boxes == "detector":
            del settings["boxes"]
        return settings


def alignment_of(
    *, template: str | None, size: int | None, margin: float, two_pass: bool, aligned: bool
) -> tuple[Alignment, str | None, int]:
    """Alignment, template and size that a call asks for, defaults filled in.

    Raises:
        UsageError: options that clash.
        UnknownNameError: no such template.
    """
    if not (two_pass or aligned):
        name = template or DEFAULT_TEMPLATE
        return "similarity", name, size or template_named(name).size
    kind: Alignment = "as-shipped" if aligned else "rotate-crop"
    if two_pass and aligned:
        raise UsageError("two_pass looks for faces and aligned does not: choose one")
    if template is not None:
        raise UsageError(f"{kind} chips follow no template: leave out {template!r}")
    if aligned and margin:
        raise UsageError("aligned pictures hold no surroundings to show: leave out the margin")
    return kind, None, size or DEFAULT_SIZE


CARD_NAME: Final = "store.json"
FORMAT: Final = "agelens chip store"
FORMAT_VERSION: Final = 1


def shard_name(number: int) -> str:
    """The file of a store's shard `number`."""
    return f"chips-{number:05d}.arrow"


@dataclass(frozen=True, slots=True)
class ShardEntry:
    """One shard: its file in the store's folder, rows, size, hash, and rows by status."""

    file: str
    rows: int
    size_bytes: int
    sha256: str
    statuses: Mapping[str, int]

    def __post_init__(self) -> None:
        if not re.fullmatch(r"chips-\d{5,9}\.arrow", self.file):  # nor a path out of the folder
            raise ValueError(f"{shortened(self.file, 40)!r} is no name of a shard")


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreCard:
    """The card of a whole store.

    `settings` are those of `agelens.data.store.card.StoreSettings`, as plain JSON
    types; `table_sha256` is the hash of the table that it was made from. `datasets` and
    `age_kinds` count rows by name, `statuses` by what became of them.
    """

    settings: Mapping[str, Any]
    table_sha256: str
    datasets: Mapping[str, int]
    age_kinds: Mapping[str, int]
    statuses: Mapping[str, int]
    shards: tuple[ShardEntry, ...]

    @property
    def rows(self) -> int:
        """Rows of the store, whatever their status."""
        return sum(shard.rows for shard in self.shards)

    def to_bytes(self) -> bytes:
        """The content of `store.json`."""
        document = {"format": FORMAT, "format_version": FORMAT_VERSION, "rows": self.rows}
        document |= asdict(self)
        return json.dumps(document, indent=1, ensure_ascii=False).encode() + b"\n"

    @classmethod
    def read(cls, folder: Path) -> Self:
        """The card in `folder`.

        Raises:
            DatasetError: there is none; it is damaged; or another version made the store.
        """
        path = folder / CARD_NAME
        document = json_object(path, DatasetError, what="a store's card")
        if document.get("format") != FORMAT:
            raise DatasetError(f"{path}: is not the card of a chip store")
        _check_version(path, document)
        return cls._parsed(path, document)

    @classmethod
    def _parsed(cls, path: Path, document: dict[str, Any]) -> Self:
        with decoding(path, "a store's card", DatasetError):
            shards = tuple(ShardEntry(**entry) for entry in document["shards"])
            plain = {name: document[name] for name in cls.__slots__ if name != "shards"}
            if not all(isinstance(plain[name], dict) for name in ("settings", "statuses")):
                raise TypeError("settings and statuses are objects")
            if not isinstance(StoreSettings(**plain["settings"]).size, int):
                raise TypeError("settings.size is a whole number")
            return cls(**plain, shards=shards)


def is_whole(folder: Path, entry: ShardEntry) -> bool:
    """Whether a shard is there with the size and hash that its entry says."""
    try:
        check_shard(folder, entry, content=True)
    except DatasetError:
        return False
    return True


def check_shard(folder: Path, entry: ShardEntry, *, content: bool) -> None:
    """Check that a shard is there, of its size, and where `content` also of its hash.

    Raises:
        DatasetError: it is not; the message names it.
    """
    path = folder / entry.file
    again = "copy it again from where the store came, or prepare the store anew"
    if not path.is_file():
        raise DatasetError(f"{path}: this shard of the store is missing; {again}")
    size = path.stat().st_size
    if size != entry.size_bytes:
        raise DatasetError(f"{path}: has {size} bytes, not {entry.size_bytes}; {again}")
    if content:
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
        if found != entry.sha256:
            raise DatasetError(f"{path}: its content changed (sha256 {found[:12]}…); {again}")


def _check_version(path: Path, document: dict[str, Any]) -> None:
    version = document.get("format_version")
    if version != FORMAT_VERSION:
        maker = document.get("settings", {}).get("agelens_version", "of unknown version")
        raise DatasetError(
            f"{path}: the store has format version {version!r}, this agelens reads "
            f"{FORMAT_VERSION}; open it with the agelens that made it ({maker}), or prepare it anew"
        )
