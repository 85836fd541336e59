"""What a step frees is there for the next one."""

from __future__ import annotations

import ctypes
import platform
import resource

import numpy as np
import pytest

from agelens.sessions import keep_freed_memory

_BYTES = 64 << 20


def _faults_of_one_array() -> int:
    before = resource.getrusage(resource.RUSAGE_THREAD).ru_minflt
    array = np.ones(_BYTES, np.uint8)
    del array
    return resource.getrusage(resource.RUSAGE_THREAD).ru_minflt - before


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="an option of glibc")
def test_a_second_array_takes_the_first_ones_pages() -> None:
    keep_freed_memory()
    _faults_of_one_array()
    # In pages of the smallest size the system would have to give 16,384.
    assert _faults_of_one_array() < 100


def test_another_c_library_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda name: object())
    keep_freed_memory()
