"""What a service refuses, and that it goes on."""

from __future__ import annotations

import io
import json
import random
import struct
import zlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from PIL import Image

Files = list[tuple[str, tuple[str, bytes]]]


@pytest.fixture(scope="module")
def small(start: Any) -> Iterator[Any]:
    """A service that takes little."""
    limits = ("--max-request-megabytes", "1", "--max-files", "2", "--max-megapixels", "1")
    with start(*limits) as running:
        yield running


def refusal(answer: Any) -> tuple[int, str]:
    """The status and the code of an error, whose shape is checked."""
    error = answer.json()["error"]
    assert sorted(error) == ["code", "message", "request_id"]
    assert error["message"]
    return answer.status_code, error["code"]


def png(width: int, height: int) -> bytes:
    """A PNG whose header states a size, with one byte of pixels."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return (
            struct.pack(">I", len(content))
            + kind
            + content
            + struct.pack(">I", zlib.crc32(kind + content))
        )

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    parts = (chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(b"\0")), chunk(b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def test_too_many_bytes_are_refused_however_they_come(small: Any) -> None:
    large = [("files", ("large.png", bytes(1_100_000)))]
    assert refusal(small.client.post("/v1/estimate", files=large)) == (413, "too_large")
    head = b'--x\r\nContent-Disposition: form-data; name="files"; filename="a"\r\n\r\n'
    form = {"Content-Type": "multipart/form-data; boundary=x"}

    def chunks() -> Iterator[bytes]:
        yield head
        for _ in range(11):
            yield bytes(100_000)

    answer = small.client.post("/v1/estimate", content=chunks(), headers=form)
    assert refusal(answer) == (413, "too_large")


def test_too_many_files_or_pixels_are_refused(small: Any) -> None:
    post = small.client.post
    three = [("files", ("a.png", png(8, 8)))] * 3
    assert refusal(post("/v1/estimate", files=three)) == (413, "too_many_files")
    two = [("files", ("a.png", png(1000, 600)))] * 2
    assert refusal(post("/v1/estimate", files=two)) == (413, "too_many_pixels")
    bomb = [("files", ("bomb.png", png(60_000, 60_000)))]
    assert refusal(post("/v1/gate", files=bomb)) == (413, "too_many_pixels")


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        ({"files": [("files", ("a.jpg", b"%PDF-1.7"))]}, (415, "not_a_picture")),
        ({"files": [("files", ("a.jpg", b""))]}, (415, "not_a_picture")),
        ({"json": {"files": ["http://localhost/a.jpg"]}}, (415, "not_a_form")),
        ({"data": {"files": "/etc/passwd"}}, (415, "not_a_form")),
        ({}, (415, "not_a_form")),
        (
            {"content": b"--y", "headers": {"Content-Type": "multipart/form-data"}},
            (400, "bad_form"),
        ),
        (
            {
                "content": b"nonsense",
                "headers": {"Content-Type": "multipart/form-data; boundary=x"},
            },
            (400, "bad_form"),
        ),
    ],
)
def test_what_is_no_form_of_pictures_is_refused(
    service: Any, request_: dict[str, Any], expected: tuple[int, str]
) -> None:
    assert refusal(service.client.post("/v1/estimate", **request_)) == expected


@pytest.mark.parametrize(
    ("path", "data", "told"),
    [
        ("/v1/estimate", {"model": "../../etc/passwd"}, "unknown model"),
        ("/v1/estimate", {"model": "cc0-resnet10"}, "unknown model"),  # packaged, not served
        ("/v1/estimate", {"gender": "perhaps"}, "gender: "),
        ("/v1/estimate", {"url": "http://localhost/a.jpg"}, "url: "),
        ("/v1/gate", {"legal_age": "none"}, "legal_age: "),
        ("/v1/gate", {"legal_age": "30", "challenge_age": "20"}, "legal age"),
        ("/v1/gate", {"legal_age": "nan"}, "legal_age: "),
        ("/v1/verify", {}, "files: "),
    ],
)
def test_fields_that_do_not_fit_are_named(
    service: Any, files: Files, path: str, data: dict[str, str], told: str
) -> None:
    answer = service.client.post(path, files=files, data=data)
    assert refusal(answer) == (422, "wrong_field")
    assert told in answer.json()["error"]["message"]


def test_files_under_another_name_and_texts_in_place_of_files_are_refused(
    service: Any, files: Files
) -> None:
    other = [*files, ("photo", files[0][1])]
    assert refusal(service.client.post("/v1/estimate", files=other)) == (422, "wrong_field")
    text = {"files": (None, "/etc/passwd")}
    assert refusal(service.client.post("/v1/estimate", files=text)) == (422, "wrong_field")


def damaged(content: bytes, chance: random.Random) -> bytes:
    """`content` with bytes changed, cut out or doubled."""
    changed = bytearray(content)
    for _ in range(chance.randint(1, 40)):
        changed[chance.randrange(len(changed))] = chance.randrange(256)
    at, length = chance.randrange(len(changed)), chance.randrange(2000)
    if chance.random() < 0.3:
        del changed[at : at + length]
    elif chance.random() < 0.5:
        changed[at:at] = changed[at : at + length]
    return bytes(changed[: chance.randint(1, len(changed))] if chance.random() < 0.3 else changed)


def test_damaged_pictures_are_rows_or_refusals_and_never_failures(service: Any, head: Any) -> None:
    chance = random.Random(15)
    originals = []
    for kind in ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF"):
        file = io.BytesIO()
        Image.fromarray(head).save(file, kind)
        originals.append(file.getvalue())
    statuses = set()
    for number in range(90):
        content = damaged(originals[number % len(originals)], chance)
        answer = service.client.post("/v1/estimate", files={"files": ("a.jpg", content)})
        statuses.add(answer.status_code)
        assert answer.status_code in (200, 413, 415), (number, answer.text)
    assert 200 in statuses
    assert service.count("failed") == 0
    assert service.process.poll() is None


NEEDS_TOKEN = ("/v1/info", "/v1/models", "/metrics", "/nowhere")
OPEN = ("/", "/app.js", "/openapi.json", "/v2/health/live", "/v2/health/ready")


def test_a_token_is_needed_for_all_but_the_page_and_health(
    start: Any, files: Files, tmp_path: Any
) -> None:
    (tmp_path / "tokens").write_text("third-token-of-a-file\n")
    secret = "first-token-of-some,second-token-of-some"
    options = ("--host", "0.0.0.0", "--token-file", str(tmp_path / "tokens"))
    with start(*options, AGELENS_SERVE_TOKEN=secret) as running:
        client = running.client
        client.base_url = running.url.replace("0.0.0.0", "127.0.0.1")
        for path in OPEN:
            assert client.get(path).status_code == 200, path
        for path in NEEDS_TOKEN:
            assert refusal(client.get(path)) == (401, "no_token")
        for wrong in ("first-token-of-som", "x", secret, "first-token-of-somé"):
            header = {"Authorization": f"Bearer {wrong}".encode()}
            answer = client.post("/v1/estimate", files=files, headers=header)
            assert refusal(answer) == (401, "no_token")
            assert answer.headers["www-authenticate"] == "Bearer"
        basic = {"Authorization": "Basic first-token-of-some"}
        assert client.get("/v1/info", headers=basic).status_code == 401
        for token in (*secret.split(","), "third-token-of-a-file"):
            header = {"Authorization": f"Bearer {token}"}
            assert client.post("/v1/estimate", files=files, headers=header).status_code == 200
        told = json.dumps(running.log) + client.get("/metrics", headers=header).text
        assert "token-of" not in told
        assert next(line for line in running.log if line["event"] == "configuration")["tokens"] == 3


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--host", "0.0.0.0"), "other machines can reach 0.0.0.0"),
        (("--host", "::"), "other machines can reach ::"),
        (("--host", "example.org"), "other machines can reach example.org"),
        (("--port", "70000"), "--port"),
        (("--queue", "some"), "--queue"),
        (("--max-files", "0"), "--max-files"),
        (("--max-files", "10", "--queue", "5"), "could never be taken"),
        (("--max-request-megabytes", "600"), "could never be taken"),
        (("--token-file", "absent"), "absent: tokens cannot be read"),
        (("--model", "agelens-2"), "unknown model"),
        (("--model", "cc0-gender"), "answers gender, not age"),
        (("--model", "agelens-1,agelens-1"), "different names"),
        (("--detector", "haar"), "unknown detector"),
    ],
)
def test_a_service_that_cannot_be_is_told_in_a_sentence(
    agelens: Callable[..., Any], options: tuple[str, ...], told: str
) -> None:
    ran = agelens("serve", *options)
    assert ran.status == 2
    assert ran.err.startswith("agelens: error: ")
    assert told in ran.err
    assert ran.err.count("\n") == 1


def test_tokens_are_long_and_do_not_stand_in_errors(
    agelens: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AGELENS_SERVE_TOKEN", "brief")
    ran = agelens("serve")
    assert (ran.status, "brief" in ran.err) == (2, False)
    monkeypatch.setenv("AGELENS_SERVE_TOKEN", "a-token-that-is-long-enough")
    ran = agelens("serve", "--no-token")
    assert (ran.status, "long-enough" in ran.err) == (2, False)


def test_other_origins_are_answered_only_where_they_are_named(start: Any, service: Any) -> None:
    asked = {"Origin": "https://shop.example", "Access-Control-Request-Method": "POST"}
    secret = "a-token-that-is-long-enough"
    options = ("--cors-origins", "https://shop.example")
    with start(*options, AGELENS_SERVE_TOKEN=secret) as running:
        preflight = running.client.options("/v1/estimate", headers=asked)
        assert preflight.status_code == 200
        assert preflight.headers["access-control-allow-origin"] == "https://shop.example"
        other = running.client.options("/v1/estimate", headers=asked | {"Origin": "https://other"})
        assert "access-control-allow-origin" not in other.headers
    closed = service.client.options("/v1/estimate", headers=asked)
    assert "access-control-allow-origin" not in closed.headers
