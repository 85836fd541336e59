"""What stands before the endpoints, without a server."""

from __future__ import annotations

import asyncio
import json
import logging
from typing import Any

import pytest

from agelens.service.errors import RequestError
from agelens.service.guarding import Guard, Observed
from agelens.service.observing import JsonLines, Metrics


class Sent(list[dict[str, Any]]):
    """What a response was sent as."""

    async def __call__(self, message: Any) -> None:
        self.append(message)

    @property
    def status(self) -> int:
        return int(self[0]["status"])

    @property
    def code(self) -> str:
        return str(json.loads(self[1]["body"])["error"]["code"])


def scope(*, length: int | None = None, **headers: str) -> dict[str, Any]:
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    if length is not None:
        given["content-length"] = str(length)
    raw = [(name.encode(), value.encode()) for name, value in given.items()]
    return {"type": "http", "method": "POST", "path": "/v1/x", "headers": raw}


def guarded(app: Any, metrics: Metrics, **limits: Any) -> Observed:
    settings: dict[str, Any] = {
        "tokens": tuple,
        "open_paths": (),
        "max_bytes": 100,
        "memory_bytes": 150,
        "seconds": 30,
    }
    return Observed(Guard(app, metrics=metrics, **settings | limits), metrics)


def body(*parts: bytes) -> Any:
    messages = [
        {"type": "http.request", "body": part, "more_body": number < len(parts) - 1}
        for number, part in enumerate(parts)
    ]
    return _next(messages)


def _next(messages: list[Any]) -> Any:
    async def receive() -> Any:
        return messages.pop(0)

    return receive


async def answers(_: Any, receive: Any, send: Any) -> None:
    while (await receive()).get("more_body"):
        pass
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b""})


def test_memory_for_uploads_is_shared_and_given_back() -> None:
    async def run() -> tuple[Sent, Sent, Sent]:
        metrics, inside, go_on = Metrics(), asyncio.Event(), asyncio.Event()

        async def waits(scope: Any, receive: Any, send: Any) -> None:
            inside.set()
            await go_on.wait()
            await answers(scope, receive, send)

        app = guarded(waits, metrics)
        first, second, third = Sent(), Sent(), Sent()
        begun = asyncio.create_task(app(scope(length=80), body(bytes(80)), first))
        await inside.wait()
        await app(scope(length=80), body(bytes(80)), second)
        assert metrics.registry.get_sample_value("agelens_upload_bytes") == 80
        go_on.set()
        await begun
        await app(scope(length=80), body(bytes(80)), third)
        assert metrics.registry.get_sample_value("agelens_upload_bytes") == 0
        return first, second, third

    first, second, third = asyncio.run(run())
    assert (first.status, second.status, third.status) == (200, 503, 200)
    assert (b"retry-after", b"1") in [(name.lower(), value) for name, value in second[0]["headers"]]


def test_an_upload_without_a_length_counts_as_the_largest() -> None:
    sent = Sent()
    asyncio.run(guarded(answers, Metrics(), memory_bytes=99)(scope(), body(b"1"), sent))
    assert (sent.status, sent.code) == (503, "busy")


def test_an_upload_that_never_ends_is_too_slow() -> None:
    async def hangs() -> Any:
        await asyncio.Event().wait()

    async def endpoint(scope: Any, receive: Any, send: Any) -> None:
        with pytest.raises(RequestError) as caught:
            await receive()
        assert (caught.value.status, caught.value.code) == (408, "too_slow")
        await answers(scope, body(b""), send)

    sent = Sent()
    asyncio.run(guarded(endpoint, Metrics(), seconds=0.01)(scope(length=9), hangs, sent))
    assert sent.status == 200


def test_a_refusal_reads_what_is_being_sent_unless_the_client_waits_for_leave() -> None:
    left = [{"body": bytes(90), "more_body": True}, {"body": bytes(90), "more_body": False}]
    sent = Sent()
    asyncio.run(guarded(answers, Metrics())(scope(length=180), _next(left), sent))
    assert (sent.status, sent.code, left) == (413, "too_large", [])
    asks, sent = scope(length=180, expect="100-continue"), Sent()
    asyncio.run(guarded(answers, Metrics())(asks, _next([]), sent))
    assert sent.status == 413


def test_a_failure_is_a_500_whose_cause_is_in_the_log_without_its_words(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def fails(*_: Any) -> None:
        raise ValueError("aunt agatha is 43.2")

    sent = Sent()
    with caplog.at_level(logging.INFO, "agelens.service"):
        asyncio.run(guarded(fails, Metrics())(scope(length=0), body(b""), sent))
    assert (sent.status, sent.code) == (500, "internal")
    failed, request = [json.loads(JsonLines().format(record)) for record in caplog.records]
    assert (failed["event"], failed["error"]) == ("failed", "ValueError")
    assert failed["where"][-1].startswith("test_guarding.py:")
    assert failed["request_id"] == request["request_id"]
    assert "agatha" not in json.dumps([failed, request])


@pytest.mark.parametrize(
    ("given", "kept"),
    [("0f8fad5bd9cb469fa16570867728950e", True), ("agatha", False), ("0" * 65, False)],
)
def test_a_request_keeps_the_id_of_a_proxy_and_no_other_word(given: str, kept: bool) -> None:
    sent = Sent()
    asked = scope(length=0, x_request_id=given)
    asyncio.run(guarded(answers, Metrics())(asked, body(b""), sent))
    assert ((b"x-request-id", given.encode()) in sent[0]["headers"]) == kept
