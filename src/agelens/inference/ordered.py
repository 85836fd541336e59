"""Work spread over threads, results in input order, a bounded number under way.

OpenCV, Pillow, NumPy and onnxruntime let go of the interpreter lock while they work, so
threads use all cores and share one copy of each network.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future
from itertools import islice
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


def ordered_map(
    pool: Executor,
    function: Callable[[T], R],
    items: Iterable[T],
    *,
    window: int,
    start: int | None = None,
) -> Iterator[R]:
    """`function` of each item, in order, with at most `window` of them under way.

    Items are drawn only as results are taken, so an endless source is fine and memory
    does not grow with it. The first result waits for `start` items (`window` unless told), and
    each one taken draws up to two, so that a list that still grows is answered early. What has not
    begun is cancelled when the caller stops early.
    """
    source = iter(items)
    under_way: deque[Future[R]] = deque(
        pool.submit(function, item) for item in islice(source, start or window)
    )
    try:
        while under_way:
            result = under_way.popleft().result()
            room = min(2, window - len(under_way))
            under_way.extend(pool.submit(function, item) for item in islice(source, room))
            yield result
    finally:
        for future in under_way:
            future.cancel()


def blocks(items: Iterable[T], *, weight: Callable[[T], int], limit: int) -> Iterator[list[T]]:
    """Consecutive items in lists whose weights add up to at least `limit`, the last one less."""
    block: list[T] = []
    total = 0
    for item in items:
        block.append(item)
        total += weight(item)
        if total >= limit:
            yield block
            block, total = [], 0
    if block:
        yield block
