"""Debian's Chromium, the page it looks at, and who answers that page: a stand-in, or agelens."""

from __future__ import annotations

import email.policy
import hashlib
import json
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from email.parser import BytesParser
from functools import partial
from http.server import BaseHTTPRequestHandler, SimpleHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from pathlib import Path
from typing import Any

import onnx
import pytest
from PIL import Image
from playwright.sync_api import (
    Browser,
    ConsoleMessage,
    Page,
    Playwright,
    Request,
    expect,
    sync_playwright,
)

from agelens.inference.cards import DEFAULT_MODEL, load_card
from agelens.records import RGB
from agelens.service.app import _PAGE_HEADERS, PAGE
from agelens.service.on_device import RUNTIME, write_page

_CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
_RUNTIME = Path(sys.prefix) / f"{RUNTIME.replace('@', '-')}.tgz"
_QUIET = (
    *("--no-sandbox", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update"),
)
_CAMERA = ("--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream")
WAIT_MS = 120_000  # a machine that is shared by many is slow

Answer = tuple[int, dict[str, str], bytes]


@pytest.fixture(scope="module")
def playwright() -> Iterator[Playwright]:
    """Ended with its module: while it is open, no other test may run an event loop."""
    expect.set_options(timeout=WAIT_MS)
    if _CHROMIUM is None:
        pytest.skip("no Chromium here: apt-get install chromium; make test does it where it may")
    with sync_playwright() as running:
        yield running


@pytest.fixture(scope="module")
def chromium(playwright: Playwright) -> Iterator[Browser]:
    """A browser whose pages may have no camera."""
    browser = playwright.chromium.launch(executable_path=_CHROMIUM, args=_QUIET)
    yield browser
    browser.close()


@pytest.fixture(scope="module")
def chromium_with_camera(
    playwright: Playwright, astronaut: RGB, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Browser]:
    """A browser whose camera sees the astronaut, moving to and fro."""
    film = tmp_path_factory.mktemp("film") / "camera.mjpeg"
    frames = BytesIO()
    for shift in (0, 4, 8, 4):
        picture = Image.new("RGB", (640, 480), "white")
        picture.paste(Image.fromarray(astronaut), (64 + shift, 0))
        picture.save(frames, "JPEG", quality=95)
    film.write_bytes(frames.getvalue())
    seen = (*_QUIET, *_CAMERA, f"--use-file-for-fake-video-capture={film}")
    browser = playwright.chromium.launch(executable_path=_CHROMIUM, args=seen)
    yield browser
    browser.close()


@pytest.fixture(scope="module")
def chromium_with_two_cameras(playwright: Playwright) -> Iterator[Browser]:
    """A browser with two cameras that see a test picture."""
    cameras = (_CAMERA[0], f"{_CAMERA[1]}=device-count=2")
    browser = playwright.chromium.launch(executable_path=_CHROMIUM, args=(*_QUIET, *cameras))
    yield browser
    browser.close()


Look = Callable[..., Page]


@pytest.fixture
def look() -> Iterator[Look]:
    """Opens an address in a browser; the test fails where the page broke its own rules."""
    opened: list[Page] = []
    problems: list[str] = []

    def open_page(browser: Browser, address: str, **context: Any) -> Page:
        page = browser.new_page(**context)
        page.set_default_timeout(WAIT_MS)

        def on_console(message: ConsoleMessage) -> None:
            if "Content Security Policy" in message.text:
                problems.append(message.text)

        def on_request(request: Request) -> None:
            if not request.url.startswith((address, "blob:", "data:")):
                problems.append(f"asked elsewhere: {request.url}")

        page.on("console", on_console)
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("request", on_request)
        opened.append(page)
        page.goto(address)
        return page

    yield open_page
    for page in opened:
        page.close()
    assert problems == []


@dataclass
class StandIn:
    """A server of the page that answers as `agelens serve` does, and notes what it is asked.

    `answers` come first, one a POST; then every photo has one face of 30 years, but for those named
    in `dies_of`, at which the connection is closed.
    """

    url: str = ""
    token: str = ""
    answers: list[Answer] = field(default_factory=list)
    dies_of: set[str] = field(default_factory=set)
    posts: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    at_once: int = 0
    most_at_once: int = 0
    seconds: float = 0.0


def face(**changes: Any) -> dict[str, Any]:
    """A face of 30 years as `agelens estimate` has it."""
    quality = {
        "inter_eye_px": 42.6,
        "sharpness": 0.2,
        "exposure": 0.6,
        "roll_degrees": 3.2,
        "yaw_proxy": -0.02,
        "visible_share": 1.0,
    }
    return {
        "box_xyxy": [177.75, 56.89, 273.05, 177.29],
        "landmarks": [
            [204.7, 101.0],
            [247.3, 103.4],
            [223.6, 129.5],
            [202.6, 138.2],
            [244.5, 140.4],
        ],
        "detection_score": 0.999,
        "quality": quality,
        "refer": None,
        "estimate_years": 30.25,
        "median_years": 30.0,
        "low_years": 24.5,
        "high_years": 36.0,
        "interval": "90 %, calibrated",
        "interval_level": 0.9,
        "coverage": 0.91,
    } | changes


def row(photo: str, *faces: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """A photo as `agelens estimate` has it."""
    return {
        "photo": photo,
        "status": "ok",
        "message": "",
        "faces": list(faces),
        "model": "stand-in",
        "detector": "retinaface",
        "agelens_version": "0",
    } | changes


def answer(status: int, document: Any, **headers: str) -> Answer:
    """A JSON answer."""
    return status, {"Content-Type": "application/json"} | headers, json.dumps(document).encode()


_INFO = {
    "agelens_version": "0",
    "model": "stand-in",
    "models": ["stand-in"],
    "limits": {"request_bytes": 1_000_000},
}
_LICENCES = {"code": "MIT", "weights": "made up", "data": "none"}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def __init__(self, stand_in: StandIn, *arguments: Any) -> None:
        self.stand_in = stand_in
        super().__init__(*arguments)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        name = self.path.removeprefix("/") or "index.html"
        if name == "v1/info":
            self._send(*self._guarded(answer(200, _INFO)))
        elif name == "v1/models":
            models = [{"name": "stand-in", "default": True, "licences": _LICENCES}]
            self._send(*self._guarded(answer(200, {"models": models})))
        elif (file := PAGE / name).is_file():
            kinds = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
            kind = kinds.get(file.suffix, "text/html")
            self._send(200, _PAGE_HEADERS | {"Content-Type": kind}, file.read_bytes())
        else:
            self._send(404, {}, b"")

    def do_POST(self) -> None:
        it = self.stand_in
        it.at_once += 1
        it.most_at_once = max(it.most_at_once, it.at_once)
        fields = self._fields()
        threading.Event().wait(it.seconds)
        it.posts.append((self.path, fields))
        it.at_once -= 1
        if fields["files"] in it.dies_of:
            self.close_connection = True
            return
        if it.answers:
            self._send(*it.answers.pop(0))
            return
        decision = {"decision": "pass"} if self.path == "/v1/gate" else {}
        rows = [row(fields["files"], face(**decision), **decision)]
        self._send(*self._guarded(answer(200, {"request_id": "1", "results": rows})))

    def _fields(self) -> dict[str, Any]:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        head = f"Content-Type: {self.headers['Content-Type']}\r\n\r\n".encode()
        parts = BytesParser(policy=email.policy.HTTP).parsebytes(head + body)
        return {
            str(part.get_param("name", header="content-disposition")): part.get_filename()
            or part.get_content().strip()
            for part in parts.iter_parts()
        }

    def _guarded(self, good: Answer) -> Answer:
        wanted = self.stand_in.token
        if not wanted or self.headers["Authorization"] == f"Bearer {wanted}":
            return good
        told = {"code": "no_token", "message": "a token is needed", "request_id": "7"}
        return answer(401, {"error": told})

    def _send(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.send_response(status)
        for name, value in (headers | {"Content-Length": str(len(body))}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture
def stand_in() -> Iterator[StandIn]:
    """See `StandIn`."""
    it = StandIn()
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Handler, it))
    it.url = f"http://127.0.0.1:{server.server_port}/"
    yield from _serving(server, it)


def _serving(server: ThreadingHTTPServer, what: Any) -> Iterator[Any]:
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield what
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture(scope="module")
def service_url() -> Iterator[str]:
    """Where a real `agelens serve` answers."""
    command = [sys.executable, "-m", "agelens", "serve", "--port", "0"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout
        assert process.stderr
        url = process.stdout.readline().strip().rpartition(" ")[2]
        while json.loads(process.stderr.readline())["event"] != "ready":
            pass
        drain = threading.Thread(target=process.stderr.read, daemon=True)
        drain.start()
        yield url if url.endswith("/") else f"{url}/"
        process.terminate()
        process.wait()
        drain.join()


class _Files(SimpleHTTPRequestHandler):
    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture(scope="session")
def on_device_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page that `agelens page` writes; below it those of `cc0-resnet10` and of told models."""
    if not _RUNTIME.is_file():
        pytest.skip(f"{_RUNTIME} is absent: npm pack {RUNTIME}; make test does it where npm is")
    folder = tmp_path_factory.mktemp("on-device") / "page"
    write_page(folder, runtime=_RUNTIME)
    write_page(folder / "cc0", runtime=_RUNTIME, model="cc0-resnet10")
    for separate in (True, False):
        model = _telling_ethnicity(folder / "models" / f"told-{separate}", separate=separate)
        write_page(folder / f"told-{separate}", runtime=_RUNTIME, model=model)
    return folder


def _telling_ethnicity(folder: Path, *, separate: bool) -> Path:
    """The default model that tells two more words, in outputs of their own or all in one."""
    card = load_card(DEFAULT_MODEL)
    network = onnx.load(card.weights)
    graph = network.graph
    ages, genders = (f"{name} of the default" for name in ("answer", "gender"))
    for node in graph.node:
        node.output[:] = [
            {"answer": ages, "gender": genders}.get(name, name) for name in node.output
        ]
    parts = {"answer": (ages, 101), "gender": (genders, 2), "ethnicity": (genders, 2)}
    del graph.output[:]
    if separate:
        for name, (value, _) in parts.items():
            graph.node.append(onnx.helper.make_node("Identity", [value], [name]))
        widths = {name: width for name, (_, width) in parts.items()}
    else:
        values = [value for value, _ in parts.values()]
        graph.node.append(onnx.helper.make_node("Concat", values, ["answer"], axis=1))
        widths = {"answer": 105}
    for name, width in reversed(widths.items()):  # a file's own order is not the card's
        kind = onnx.TensorProto.FLOAT
        graph.output.append(onnx.helper.make_tensor_value_info(name, kind, ["N", width]))
    content = network.SerializeToString()
    document = json.loads(json.dumps(dict(card.document)))
    document["weights"] = {"path": "model.onnx", "sha256": hashlib.sha256(content).hexdigest()}
    document["output"]["further"] = {"ethnicity": ["a", "b"]}
    del document["output"]["outputs"]
    if separate:
        document["output"]["outputs"] = list(parts)
    folder.mkdir(parents=True)
    (folder / "model.onnx").write_bytes(content)
    (folder / "card.json").write_text(json.dumps(document), encoding="utf-8")
    return folder


@pytest.fixture(scope="session")
def on_device_url(on_device_folder: Path) -> Iterator[str]:
    """Where those pages are, from `python -m http.server` as their users are told."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Files, directory=str(on_device_folder)))
    yield from _serving(server, f"http://127.0.0.1:{server.server_port}/")


@pytest.fixture(scope="session")
def made() -> Any:
    """What tests answer with: `face`, `row` and `answer` of this file."""
    return type(
        "Made",
        (),
        {"face": staticmethod(face), "row": staticmethod(row), "answer": staticmethod(answer)},
    )
