"""What a request is refused with: one shape of JSON, with a word for programs and a sentence."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from starlette.responses import JSONResponse

RETRY_AFTER: Final = {"Retry-After": "1"}
"""Seconds: a queue that is full has room again as soon as a photo is answered."""


class RequestError(Exception):
    """A request that is not answered as it was meant.

    Args:
        status: of HTTP.
        code: a word for programs.
        message: a sentence for people: what was wrong, and what to do.
        headers: that the response gets.
    """

    def __init__(
        self, status: int, code: str, message: str, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.headers = dict(headers or {})


def busy(message: str, code: str = "busy") -> RequestError:
    """A 503 that says when to come again."""
    return RequestError(503, code, message, RETRY_AFTER)


def error_response(error: RequestError, request_id: str) -> JSONResponse:
    """The response that tells `error`."""
    told = {"code": error.code, "message": error.message, "request_id": request_id}
    return JSONResponse({"error": told}, error.status, error.headers)
