"""How a service runs: under load, when it is stopped, when its models change; what it records."""

from __future__ import annotations

import base64
import io
import json
import signal
import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from PIL import Image

Files = list[tuple[str, tuple[str, bytes]]]


def test_a_full_queue_says_when_to_come_again_and_loses_nobody(start: Any, astronaut: Any) -> None:
    file = io.BytesIO()
    Image.fromarray(astronaut).resize((3000, 3000)).save(file, "JPEG")
    sent = {"files": ("large.jpg", file.getvalue())}
    with start("--queue", "1", "--max-files", "1", "--workers", "1") as running:

        def post(_: int) -> httpx.Response:
            return httpx.post(f"{running.url}/v1/estimate", files=sent, timeout=120)

        with ThreadPoolExecutor(12) as pool:
            answers = list(pool.map(post, range(24)))
        statuses = [answer.status_code for answer in answers]
        assert set(statuses) == {200, 503}
        for answer in answers:
            if answer.status_code == 503:
                assert answer.headers["retry-after"] == "1"
                assert answer.json()["error"]["code"] == "busy"
            else:
                assert answer.json()["results"][0]["status"] == "ok"
        metrics = running.client.get("/metrics").text
        assert f'agelens_refused_total{{code="busy"}} {statuses.count(503)}.0' in metrics
        assert 'agelens_photos_total{status="ok"} ' + f"{statuses.count(200)}.0" in metrics
        assert "\nagelens_queue_photos 0.0" in metrics
        assert post(0).status_code == 200


def test_an_answer_that_takes_too_long_is_a_503(start: Any, files: Files) -> None:
    with start("--timeout-seconds", "0.001") as running:
        pass_slowly = [("files", (f"{number}.png", files[0][1][1])) for number in range(16)]
        answer = running.client.post("/v1/estimate", files=pass_slowly)
        # Which of both comes first is up to the machine; neither is an answer, nor a failure.
        assert answer.status_code in (408, 503)
        assert answer.json()["error"]["code"] in ("too_slow", "timeout")


def whole_request(url: str, content: bytes) -> tuple[bytes, bytes]:
    """Head and body of a request, as bytes on the wire."""
    built = httpx.Request("POST", f"{url}/v1/estimate", files={"files": ("a.png", content)})
    body = built.read()
    head = [f"POST /v1/estimate HTTP/1.1\r\nHost: {urlsplit(url).netloc}"]
    head += [f"{name}: {value}" for name, value in built.headers.items() if name != "host"]
    return ("\r\n".join(head) + "\r\n\r\n").encode(), body


def test_a_stopped_service_finishes_what_it_began_and_refuses_the_rest(
    start: Any, files: Files
) -> None:
    with start() as running:
        where = urlsplit(running.url)
        head, body = whole_request(running.url, files[0][1][1])
        half = len(body) // 2
        with socket.create_connection((where.hostname, where.port), timeout=120) as begun:
            begun.sendall(head + body[:half])
            running.signal(signal.SIGTERM)
            running.wait_for("Shutting down")
            with pytest.raises(httpx.ConnectError):
                httpx.get(f"{running.url}/v2/health/live")
            begun.sendall(body[half:])
            answer = b"".join(iter(lambda: begun.recv(65536), b""))
        assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
        assert json.loads(answer.partition(b"\r\n\r\n")[2])["results"][0]["status"] == "ok"
        assert running.ended() == 0
        assert running.count("stopped") == 1


def test_a_client_that_leaves_is_no_failure(service: Any, files: Files) -> None:
    where = urlsplit(service.url)
    head, body = whole_request(service.url, files[0][1][1])
    before, requests = len(service.log), service.count("request")
    with socket.create_connection((where.hostname, where.port), timeout=120) as begun:
        begun.sendall(head + body[:100])
    service.wait_for("request", requests + 1)
    assert [(line["event"], line["status"]) for line in service.log[before:]] == [("request", 499)]


def test_models_and_tokens_are_read_anew_on_sighup_and_kept_where_they_are_bad(
    start: Any, write_card: Callable[..., Path], tmp_path: Path, files: Files
) -> None:
    card, tokens = write_card(tmp_path / "toy"), tmp_path / "tokens"
    tokens.write_text("token-of-before-the-reload")
    with start("--model", str(card), "--token-file", str(tokens)) as running:

        def version(token: str) -> Any:
            header = {"Authorization": f"Bearer {token}"}
            answer = running.client.get("/v1/models", headers=header)
            return answer.json().get("models", [{}])[0].get("version")

        assert version("token-of-before-the-reload") == "1"
        write_card(tmp_path / "toy", change=lambda document: document.update(version="2"))
        tokens.write_text("token-of-after-the-reload")
        running.signal(signal.SIGHUP)
        running.wait_for("reloaded")
        assert version("token-of-after-the-reload") == "2"
        assert version("token-of-before-the-reload") is None
        card.write_text("{}")
        running.signal(signal.SIGHUP)
        running.wait_for("reload failed")
        assert version("token-of-after-the-reload") == "2"
        header = {"Authorization": "Bearer token-of-after-the-reload"}
        answer = running.client.post("/v1/estimate", files=files, headers=header)
        assert answer.json()["results"][0]["model"] == "toy"


def test_a_service_that_was_killed_starts_again_at_its_port(start: Any, files: Files) -> None:
    with start() as first:
        port = str(urlsplit(first.url).port)
        first.client.post("/v1/estimate", files=files)
        first.signal(signal.SIGKILL)
        assert first.ended() == -signal.SIGKILL
    with start("--port", port) as second:
        assert second.url == first.url
        assert second.client.post("/v1/estimate", files=files).status_code == 200


def test_a_taken_port_is_told_in_a_sentence(service: Any, agelens: Callable[..., Any]) -> None:
    port = str(urlsplit(service.url).port)
    ran = agelens("serve", "--port", port)
    assert ran.status == 2
    assert f"127.0.0.1:{port} cannot be listened on" in ran.err


def test_neither_log_nor_metrics_know_pictures_names_or_ages(service: Any, files: Files) -> None:
    content = files[0][1][1]
    named = {"files": ("Aunt Agatha at Lyme.png", content)}
    client = service.client
    header = {"User-Agent": "agent-of-agatha", "X-Request-ID": "agatha"}
    row = client.post("/v1/estimate?for=agatha", files=named, headers=header).json()["results"][0]
    client.post("/v1/gate", files=named | {"agatha": ("a", b"")})
    client.get("/agatha")
    client.post("/v1/estimate", files={"files": ("agatha.png", content[:999])}, headers=header)
    recorded = json.dumps(service.log) + client.get("/metrics").text
    face = row["faces"][0]
    told = [face[name] for name in ("estimate_years", "median_years", "low_years", "high_years")]
    for private in ("agatha", *map(str, told), base64.b64encode(content[1000:1030]).decode()):
        assert private not in recorded.lower()
    assert 'agelens_photos_total{status="unreadable"}' in recorded.replace('\\"', '"')
    request = next(line for line in service.log if line.get("route") == "/v1/estimate")
    expected = ["event", "level", "method", "milliseconds", "request_id", "route", "status", "time"]
    assert sorted(request) == expected


def test_the_environment_configures_and_options_come_before_it(start: Any) -> None:
    set_ = {"AGELENS_SERVE_MAX_FILES": "3", "AGELENS_SERVE_QUEUE": "9"}
    with start("--queue", "7", **set_) as running:
        limits = running.client.get("/v1/info").json()["limits"]
        assert (limits["files"], limits["queue_photos"]) == (3, 7)
        shown = next(line for line in running.log if line["event"] == "configuration")
        assert (shown["max_files"], shown["queue"], shown["tokens"]) == (3, 7, 0)
        assert running.count("configuration") == 1
