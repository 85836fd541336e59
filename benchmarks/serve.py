"""`agelens serve` under load from another process, beside the library alone.

    python benchmarks/serve.py FOLDER              # a short form, some minutes
    python benchmarks/serve.py FOLDER --full       # 20,000 requests for memory, longer turns
    python benchmarks/serve.py FOLDER --only speed,memory,overload,kill,hostile

FOLDER holds photos; 64 of them are sent over and over, one a request. The service runs with its
default settings, on a free port of loopback, in a process of its own; this process is the load.
Library and service take turns, so that a machine whose speed drifts favours neither.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median, quantiles
from urllib.parse import urlsplit

PHOTOS = 64
HOSTILE = 200
SUFFIXES = {".jpg", ".jpeg", ".png"}
ANSWER_LIMIT = 60.0
LIBRARY = (
    "import itertools, pathlib, sys, time; from agelens import AgeEstimator\n"
    "estimator = AgeEstimator(); files = sys.stdin.read().splitlines()\n"
    "photos = [pathlib.Path(f).read_bytes() for f in files]; estimator.estimate(photos[0])\n"
    "start = time.perf_counter(); n = 0; end = start + float(sys.argv[1])\n"
    "cpu = time.process_time()\n"
    "def source():\n"
    "    for photo in itertools.cycle(photos):\n"
    "        if time.perf_counter() > end: return\n"
    "        yield photo\n"
    "for _ in estimator.stream(source()): n += 1\n"
    "print(n / (time.perf_counter() - start), 1000 * (time.process_time() - cpu) / n)"
)


class Server:
    """A running service."""

    def __init__(self, *options: str) -> None:
        command = [sys.executable, "-m", "agelens", "serve", *options]
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        self.url = self.process.stdout.readline().strip().rpartition(" ")[2]
        ready = threading.Event()
        self.failures = 0

        def read() -> None:
            for line in self.process.stderr:
                event = json.loads(line)["event"]
                self.failures += event == "failed"
                if event == "ready":
                    ready.set()

        threading.Thread(target=read, daemon=True).start()
        if not ready.wait(ANSWER_LIMIT):
            raise SystemExit("the service is not ready")

    @property
    def memory_mb(self) -> float:
        """Resident memory now."""
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 1e6

    @property
    def cpu_ms(self) -> float:
        """Milliseconds of all cores that it has used."""
        used = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return 1000 * (int(used[11]) + int(used[12])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def running(*options: str):
    server = Server("--port", "0", *options)
    try:
        yield server
    finally:
        server.process.terminate()
        server.process.wait()


@dataclass
class Load:
    """What came of requests: statuses (0 where there was no answer), seconds of those answered."""

    seconds: list[float] = field(default_factory=list)
    statuses: Counter = field(default_factory=Counter)
    took: float = 0.0

    @property
    def rate(self) -> float:
        """Answers a second."""
        return self.statuses[200] / self.took

    def __str__(self) -> str:
        cuts = quantiles(self.seconds, n=20) if len(self.seconds) > 1 else [0.0] * 19
        return (
            f"{self.rate:7.1f} answers/s  p50 {1000 * median(self.seconds or [0]):6.0f} ms  "
            f"p95 {1000 * cuts[18]:6.0f} ms  {dict(self.statuses)}"
        )


def request_of(content: bytes) -> bytes:
    """A whole request for one photo, as it goes over the wire."""
    body = (
        b'--x\r\nContent-Disposition: form-data; name="files"; filename="a"\r\n\r\n'
        + content
        + b"\r\n--x--\r\n"
    )
    head = (
        "POST /v1/estimate HTTP/1.1\r\nHost: localhost\r\n"
        "Content-Type: multipart/form-data; boundary=x\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


class Client:
    """One connection that is kept; opened anew where it was lost."""

    def __init__(self, url: str) -> None:
        self.host, self.port = urlsplit(url).hostname, urlsplit(url).port
        self._streams = None

    async def ask(self, request: bytes, load: Load) -> int:
        """The status of an answer, 0 where none came in time; told to `load` as well."""
        started = time.perf_counter()
        status = 0
        try:
            async with asyncio.timeout(ANSWER_LIMIT):
                status = await self._ask(request)
        except (OSError, EOFError, TimeoutError):
            self.close()
        load.statuses[status] += 1
        if status == 200:
            load.seconds.append(time.perf_counter() - started)
        return status

    async def _ask(self, request: bytes) -> int:
        if self._streams is None:
            self._streams = await asyncio.open_connection(self.host, self.port)
        reader, writer = self._streams
        writer.write(request)
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        length = int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0])
        await reader.readexactly(length)
        if b"connection: close" in head:
            self.close()
        return int(head.split(b" ", 2)[1])

    def close(self) -> None:
        """Let go of the connection."""
        if self._streams:
            self._streams[1].close()
        self._streams = None


async def closed_loop(
    url: str, requests: list[bytes], clients: int, *, seconds: float = 1e9, count: int = 10**9
) -> Load:
    """`clients` that each ask again as soon as they are answered."""
    load, numbers = Load(), itertools.count()
    started = time.perf_counter()

    async def client() -> None:
        mine = Client(url)
        while time.perf_counter() - started < seconds and (number := next(numbers)) < count:
            await mine.ask(requests[number % len(requests)], load)
        mine.close()

    await asyncio.gather(*(client() for _ in range(clients)))
    load.took = time.perf_counter() - started
    return load


async def open_loop(url: str, requests: list[bytes], rate: float, seconds: float) -> Load:
    """Requests that come at `rate`, each by a client of its own, whether or not others wait."""
    load, started = Load(), time.perf_counter()

    async def one(number: int) -> None:
        await asyncio.sleep(number / rate)
        client = Client(url)
        await client.ask(requests[number % len(requests)], load)
        client.close()

    await asyncio.gather(*(one(number) for number in range(int(rate * seconds))))
    load.took = time.perf_counter() - started
    return load


def library_speed(files: list[Path], seconds: float) -> tuple[float, float]:
    """Photos a second, CPU milliseconds a photo of `AgeEstimator.stream` in its own process."""
    command = [sys.executable, "-c", LIBRARY, str(seconds)]
    listed = "\n".join(map(str, files))
    done = subprocess.run(command, input=listed, capture_output=True, text=True, check=True)
    rate, cpu = map(float, done.stdout.split())
    return rate, cpu


def speed(files: list[Path], requests: list[bytes], *, full: bool) -> None:
    rounds, seconds = (5, 30.0) if full else (3, 8.0)
    ratios: dict[int, list[float]] = {1: [], 8: [], 64: []}
    with running() as server:
        for number in range(rounds):
            library, cpu = library_speed(files, seconds)
            print(f"  round {number + 1}: library {library:7.1f} photos/s, CPU {cpu:.1f} ms each")
            for clients, ratio in ratios.items():
                before = server.cpu_ms
                load = asyncio.run(closed_loop(server.url, requests, clients, seconds=seconds))
                cpu = (server.cpu_ms - before) / load.statuses[200]
                ratio.append(load.rate / library)
                print(f"    {clients:2} clients {load}  CPU {cpu:.1f} ms each")
    for clients, ratio in ratios.items():
        spread = f"{min(ratio):.2f} to {max(ratio):.2f}"
        print(f"  {clients:2} clients: {median(ratio):.2f} of the library ({spread})")


def memory(requests: list[bytes], *, full: bool) -> None:
    total = 20_000 if full else 400
    with running() as server:
        print(f"  at the start {server.memory_mb:.0f} MB")
        done = Counter()
        for part in range(10):
            load = asyncio.run(closed_loop(server.url, requests, 8, count=total // 10))
            done += load.statuses
            print(f"  after {(part + 1) * total // 10:6} requests {server.memory_mb:.0f} MB")
        print(f"  {dict(done)}, {server.failures} failures in the log")


def overload(requests: list[bytes], *, full: bool) -> None:
    seconds = 60.0 if full else 10.0
    few = () if full else ("--queue", "16")  # which so few requests can fill
    with running(*few) as server:
        capacity = asyncio.run(closed_loop(server.url, requests, 8, seconds=seconds / 2)).rate
        load = asyncio.run(open_loop(server.url, requests, 2 * capacity, seconds))
        print(f"  capacity {capacity:.1f}/s, offered {2 * capacity:.1f}/s: {load}")
        print(f"  without an answer: {load.statuses[0]}; slowest {max(load.seconds):.2f} s")


def kill(requests: list[bytes], *, full: bool) -> None:
    """Killed under load, started again at the same port: clients that ask again are answered."""
    first = Server("--port", "0")
    port = str(urlsplit(first.url).port)
    wanted = 400 if full else 120

    async def run() -> Counter:
        asked, attempts = iter(range(wanted)), Counter()
        half = asyncio.Event()

        async def client() -> None:
            mine, load = Client(first.url), Load()
            for number in asked:
                if number == wanted // 2:
                    half.set()
                while await mine.ask(requests[number % len(requests)], load) != 200:
                    await asyncio.sleep(0.2)
            attempts.update(load.statuses)

        async def murder() -> Server:
            await half.wait()
            first.process.send_signal(signal.SIGKILL)
            await asyncio.to_thread(first.process.wait)
            return await asyncio.to_thread(Server, "--port", port)

        killer = asyncio.create_task(murder())
        await asyncio.gather(*(client() for _ in range(8)))
        second = await killer
        second.process.terminate()
        second.process.wait()
        return attempts

    attempts = asyncio.run(run())
    print(f"  {wanted} photos by 8 clients that ask again: {dict(attempts)} (0: no answer)")


def hostile(files: list[Path]) -> None:
    chance = random.Random(15)
    uploads = []
    for number in range(HOSTILE):
        content = bytearray(files[number % len(files)].read_bytes())
        for _ in range(chance.randint(1, 60)):
            content[chance.randrange(len(content))] = chance.randrange(256)
        if number % 4 == 0:
            del content[chance.randrange(len(content)) :]
        if number % 10 == 0:
            content[:8] = chance.randbytes(8)
        uploads.append(request_of(bytes(content)))
    with running() as server:
        load = asyncio.run(closed_loop(server.url, uploads, 8, count=len(uploads)))
        alive = server.process.poll() is None
        print(f"  {load.statuses}; alive: {alive}; failures in the log: {server.failures}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--full", action="store_true", help="the numbers for README")
    parser.add_argument("--only", default="speed,memory,overload,kill,hostile")
    options = parser.parse_args()
    found = sorted(p for p in options.folder.rglob("*") if p.suffix.lower() in SUFFIXES)
    files = random.Random(0).sample(found, min(PHOTOS, len(found)))
    requests = [request_of(file.read_bytes()) for file in files]
    print(f"{len(files)} photos of {options.folder.name}, {os.cpu_count()} cores")
    parts = {
        "speed": lambda: speed(files, requests, full=options.full),
        "memory": lambda: memory(requests, full=options.full),
        "overload": lambda: overload(requests, full=options.full),
        "kill": lambda: kill(requests, full=options.full),
        "hostile": lambda: hostile(files),
    }
    for name in options.only.split(","):
        print(name)
        parts[name]()


if __name__ == "__main__":
    main()
