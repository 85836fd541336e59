"""What the scans of a JPEG tell before they are decoded: too many, or zeros in their middle."""

from __future__ import annotations

import re
from typing import BinaryIO, Final

from agelens.errors import PhotoError

_MOST_SCANNED: Final = 2_000_000_000  # pixels, each as often as a progressive JPEG refines it
_SCAN: Final = b"\xff\xda"
_READ_AT_ONCE: Final = 2**20


def check_scans(file: BinaryIO, size_wh: tuple[int, int], label: str) -> None:
    """Refuse a progressive JPEG that refines its pixels so often that it would take minutes."""
    place, scans, before = file.tell(), 0, b""
    file.seek(0)
    while part := file.read(_READ_AT_ONCE):
        scans += (before + part).count(_SCAN)
        before = part[-1:] if part[-1:] == _SCAN[:1] else b""
    file.seek(place)
    width, height = size_wh
    if scans * width * height > _MOST_SCANNED:
        raise PhotoError(
            f"{label}: a JPEG of {width} x {height} pixels in {scans} scans would take minutes to "
            "decode; save it anew",
            status="too_large",
        )


_ZEROS: Final = bytes(64)
_MARKER: Final = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
_TABLES, _START, _SEQUENTIAL = 0xC4, 0xDA, (0xC0, 0xC1)


def check_zeros(file: BinaryIO, label: str) -> None:
    """Refuse a JPEG whose first scan has bytes that were overwritten with zeros.

    Decoders take them for flat grey, without an error. No encoder writes so many, where the code
    of nothing but zeros does not end a block in every table of the scan (ITU-T T.81, annex F); of
    others, and of progressive ones, it cannot be told.
    """
    place = file.tell()
    file.seek(0)
    content = file.read()
    file.seek(place)
    start = _scan_without_zeros(content)
    if start is None:
        return
    at = content.find(_ZEROS, start)
    if at >= 0 and _MARKER.search(content, start, at) is None:
        raise PhotoError(
            f"{label}: bytes {at:,} and on were overwritten with zeros, as by a disk that failed; "
            "copy it again from where it came"
        )


def _scan_without_zeros(content: bytes) -> int | None:
    """Where the codes of the first scan begin; None where long runs of zeros may be codes."""
    place, sequential, first_symbols = 2, False, dict[int, int]()
    while content[place : place + 1] == b"\xff" and len(content) > place + 4:
        marker = content[place + 1]
        end = place + 2 + int.from_bytes(content[place + 2 : place + 4])
        body = content[place + 4 : end]
        if marker == _START:
            # Of each component its number, then its tables: that of DC above that of AC.
            used = (
                {0x10 | tables & 15 for tables in body[2 : 2 + 2 * body[0] : 2]} if body else set()
            )
            plain = sequential and any(first_symbols.get(table, 0) for table in used)
            return end if plain else None
        if marker == _TABLES:
            while len(body) > 17:
                first_symbols[body[0]] = body[17]  # of the shortest code, whose bits are all 0
                body = body[17 + sum(body[1:17]) :]
        sequential = sequential or marker in _SEQUENTIAL
        place = end
    return None
