"""What stands before every request: its id, who may ask, how much, and what is recorded.

Plain ASGI, so that a request can be refused before its body is read.
"""

from __future__ import annotations

import asyncio
import hmac
import re
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from hashlib import sha256
from time import perf_counter
from typing import Final
from uuid import uuid4

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from agelens.service.errors import RequestError, busy, error_response
from agelens.service.observing import LOG, Metrics, log_event

_REQUEST_ID: Final = re.compile(r"[0-9a-f-]{16,64}")
_UNKNOWN_ROUTE: Final = "other"
_CLIENT_GONE: Final = 499  # in logs and counts alone, as nginx has it
_MOST_DRAINED: Final = 2  # times the largest request
SECURITY_HEADERS: Final = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(self), microphone=(), geolocation=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


class Observed:
    """Gives each request an id, each response its headers, and each pair a line and a count.

    An error that nobody expected becomes a 500 whose cause is in the log alone.
    """

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given = Headers(scope=scope).get("x-request-id", "")
        request_id = given if _REQUEST_ID.fullmatch(given) else uuid4().hex
        scope.setdefault("state", {})["request_id"] = request_id
        started, status = perf_counter(), 0

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                headers["X-Request-ID"] = request_id
                for name, value in SECURITY_HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        try:
            await self._app(scope, receive, send_with_headers)
        except ClientDisconnect:
            status = _CLIENT_GONE
        except Exception:  # noqa: BLE001 - the last one who can answer
            LOG.error("failed", exc_info=True, extra={"fields": {"request_id": request_id}})
            if not status:
                error = RequestError(500, "internal", "the service failed; its log says where")
                response = error_response(error, request_id)
                await response(scope, receive, send_with_headers)
        finally:
            seconds = perf_counter() - started
            route = getattr(scope.get("route"), "path", _UNKNOWN_ROUTE)
            status = status or _CLIENT_GONE
            self._metrics.answered(scope["method"], route, status, seconds)
            log_event(
                "request",
                request_id=request_id,
                method=scope["method"],
                route=route,
                status=status,
                milliseconds=round(1000 * seconds, 1),
            )


class Guard:
    """Refuses who has no token, what is too large, and what the memory has no room for.

    Args:
        app: answers the others.
        tokens: gives the bearer tokens that are taken now; none where everybody is answered.
        open_paths: answered without a token.
        max_bytes: of a request's body.
        memory_bytes: of all bodies that are being received or worked on.
        seconds: for a body to arrive.
        metrics: count refusals and bytes.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        tokens: Callable[[], Collection[str]],
        open_paths: Collection[str],
        max_bytes: int,
        memory_bytes: int,
        seconds: float,
        metrics: Metrics,
    ) -> None:
        self._app = app
        self._tokens = tokens
        self._open_paths = open_paths
        self._max_bytes = max_bytes
        self._memory_bytes = memory_bytes
        self._seconds = seconds
        self._metrics = metrics
        self._kept = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer or refuse one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        try:
            if scope["path"] not in self._open_paths:
                self._check_token(headers)
            kept = self._bytes_to_keep(scope["method"], headers)
        except RequestError as error:
            self._metrics.refused.labels(error.code).inc()
            # A client that is still sending would lose the answer: let it finish, within limits.
            if headers.get("expect", "").lower() != "100-continue":
                await self._drain(receive)
            await error_response(error, scope["state"]["request_id"])(scope, receive, send)
            return
        self._keep(kept)
        try:
            await self._app(scope, self._limited(receive), send)
        finally:
            self._keep(-kept)

    def _check_token(self, headers: Mapping[str, str]) -> None:
        tokens = self._tokens()
        if not tokens:
            return
        scheme, _, given = headers.get("authorization", "").partition(" ")
        digest = sha256(given.strip().encode()).digest()
        # All are compared, each in constant time: how long it takes tells nothing.
        same = [hmac.compare_digest(digest, sha256(token.encode()).digest()) for token in tokens]
        if scheme.lower() != "bearer" or not any(same):
            raise RequestError(
                401,
                "no_token",
                "send one of the service's tokens as 'Authorization: Bearer TOKEN'",
                {"WWW-Authenticate": "Bearer"},
            )

    def _bytes_to_keep(self, method: str, headers: Mapping[str, str]) -> int:
        """Bytes of memory that a request is given, those that it states or the most it may have."""
        stated = headers.get("content-length")
        if stated is None:
            kept = self._max_bytes if method == "POST" else 0
        elif stated.isdecimal():
            kept = int(stated)
        else:
            raise RequestError(400, "bad_request", "Content-Length is no number")
        if kept > self._max_bytes:
            raise self._too_large()
        if self._kept + kept > self._memory_bytes:
            raise busy("the memory for uploads is full; come again")
        return kept

    def _too_large(self) -> RequestError:
        return RequestError(
            413,
            "too_large",
            f"the request has more than the {self._max_bytes:,} bytes that are taken; send fewer "
            "or smaller files",
        )

    def _keep(self, change: int) -> None:
        self._kept += change
        self._metrics.upload_bytes.set(self._kept)

    def _limited(self, receive: Receive) -> Receive:
        """`receive`, which raises a `RequestError` for a body that is too large or too slow."""
        received = 0
        deadline: float | None = asyncio.get_running_loop().time() + self._seconds

        async def limited() -> Message:
            nonlocal received, deadline
            try:
                async with asyncio.timeout_at(deadline):
                    message = await receive()
            except TimeoutError as error:
                raise RequestError(
                    408, "too_slow", f"the upload took more than {self._seconds:g} seconds"
                ) from error
            received += len(message.get("body", b""))
            if received > self._max_bytes:
                raise self._too_large()
            if not message.get("more_body", False):
                deadline = None
            return message

        return limited

    async def _drain(self, receive: Receive) -> None:
        left = _MOST_DRAINED * self._max_bytes
        with suppress(TimeoutError):
            async with asyncio.timeout(self._seconds):
                while left > 0:
                    message = await receive()
                    left -= len(message.get("body", b"")) or 1
                    if not message.get("more_body", False):
                        return
