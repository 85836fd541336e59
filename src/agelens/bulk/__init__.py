"""Millions of photos: shards of them spread over cores and machines by Ray Data, and resumed.

>>> from agelens.bulk import estimate
>>> estimate(["photos"], "labelled")  # doctest: +SKIP

It needs the extra `bulk`. Nothing else of agelens loads Ray.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from agelens.lazy import attach

if TYPE_CHECKING:
    from agelens.bulk.folder import BulkStatus as BulkStatus
    from agelens.bulk.folder import read_status as read_status
    from agelens.bulk.run import estimate as estimate

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "BulkStatus": "agelens.bulk.folder",
        "estimate": "agelens.bulk.run",
        "read_status": "agelens.bulk.folder",
    },
)
