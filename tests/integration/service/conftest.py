"""A real service: `agelens serve` in a process of its own, on a free port."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

WAIT_SECONDS = 120


class Running:
    """A service that listens, its log, and a client of it."""

    def __init__(self, *options: str, **environment: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "agelens", "serve", "--port", "0", *options],
            env=os.environ | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.log: list[dict[str, Any]] = []
        self._changed = threading.Condition()
        self._reader = threading.Thread(target=self._read_log, daemon=True)
        self._reader.start()
        assert self.process.stdout is not None
        self.url = self.process.stdout.readline().strip().rpartition(" ")[2].rstrip("/")
        self.client = httpx.Client(base_url=self.url, timeout=WAIT_SECONDS)

    def wait_for(self, event: str, count: int = 1) -> None:
        """Until the log has `event` so many times."""
        with self._changed:
            assert self._changed.wait_for(lambda: self.count(event) >= count, WAIT_SECONDS), event

    def count(self, event: str) -> int:
        """How often the log has `event`."""
        return sum(line["event"] == event for line in self.log)

    def signal(self, number: int) -> None:
        """Send it a signal."""
        self.process.send_signal(number)

    def ended(self) -> int:
        """Its exit status, once it has ended."""
        return self.process.wait(WAIT_SECONDS)

    def close(self) -> None:
        """Let go of what belongs to it, once it has ended."""
        self.ended()
        self._reader.join()
        self.client.close()
        for stream in (self.process.stdout, self.process.stderr):
            assert stream is not None
            stream.close()

    def _read_log(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            with self._changed:
                self.log.append(json.loads(line))
                self._changed.notify_all()


@contextmanager
def _running(*options: str, **environment: str) -> Iterator[Running]:
    running = Running(*options, **environment)
    try:
        running.wait_for("ready")
        yield running
    finally:
        if running.process.poll() is None:
            running.signal(signal.SIGTERM)
        running.close()


Start = Callable[..., AbstractContextManager[Running]]


@pytest.fixture(scope="session")
def start() -> Start:
    """Starts a service with options and environment, and stops it at the end of a `with`."""
    return _running


@pytest.fixture(scope="session")
def service() -> Iterator[Running]:
    """A service as it is without options; it takes no harm from use."""
    with _running() as running:
        yield running


@pytest.fixture(scope="session")
def files(astronaut_png: Path) -> list[tuple[str, tuple[str, bytes]]]:
    """A form of one photo with one face."""
    return [("files", ("astronaut.png", astronaut_png.read_bytes()))]
