"""Photos that ask for more memory or time than a photo is given."""

from __future__ import annotations

import io
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image

from agelens.errors import PhotoError
from agelens.imaging import photos
from agelens.imaging.photos import PixelBudget, read_photo
from agelens.records import RGB


def progressive(pixels: RGB, further_scans: int) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", progressive=True)
    whole = file.getvalue()
    last = whole[whole.rindex(b"\xff\xda") : -2]
    return whole[:-2] + further_scans * last + whole[-2:]


def test_a_progressive_jpeg_of_many_scans_is_refused_at_once() -> None:
    grey = np.full((1500, 2000, 3), 90, np.uint8)
    assert read_photo(progressive(grey, 0)).rgb.shape == (1500, 2000, 3)
    with pytest.raises(PhotoError, match=r"2000 x 1500 pixels in 7\d\d scans would take minutes"):
        read_photo(progressive(grey, 700))


def test_a_photo_is_given_so_many_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (900, 900, 3), dtype=np.uint8)
    content = progressive(noise, 0)
    monkeypatch.setattr(photos, "_DECODING_SECONDS", -1.0)
    with pytest.raises(PhotoError, match="takes more than -1 seconds to decode"):
        read_photo(content)


def test_threads_share_one_budget_of_pixels() -> None:
    budget = PixelBudget(100)
    here = threading.Barrier(2, timeout=5)
    in_hand: list[int] = []
    most: list[int] = []

    def photo(pixels: int) -> None:
        with budget.one_photo():
            with budget.decoding(pixels):
                in_hand.append(pixels)
            most.append(sum(in_hand))
            in_hand.remove(pixels)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(photo, [60] * 50 + [1000] + [40] * 50))
    assert max(most) == 1000  # alone
    assert all(taken <= 100 for taken in most if taken != 1000)

    def two() -> None:
        with budget.one_photo(), budget.decoding(50):
            here.wait()

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda _: two(), range(2)))  # both at a time, or the barrier breaks


def test_a_thread_that_reads_two_photos_does_not_wait_for_itself() -> None:
    budget = PixelBudget(100)
    with budget.one_photo():
        for _ in range(3):
            with budget.decoding(80):
                pass
    with budget.decoding(100):
        pass
