"""The whole application: endpoints, page, errors, and what stands before them."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.staticfiles import StaticFiles

from agelens.service.api import NOTICE, router
from agelens.service.errors import RequestError, error_response
from agelens.service.guarding import Guard, Observed
from agelens.service.observing import log_event
from agelens.service.state import Service
from agelens.version import __version__

PAGE: Final = Path(__file__).parent / "page"
_OPEN: Final = ("/openapi.json", "/v2/health/live", "/v2/health/ready")
_PAGE_HEADERS: Final = {
    "Cache-Control": "no-cache",  # kept, and asked after by its ETag
    "Content-Security-Policy": "; ".join(
        (
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            "img-src 'self' blob: data:",
            "media-src 'self' blob:",
            "connect-src 'self'",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
        )
    ),
}
_CODES: Final = {404: "not_found", 405: "method_not_allowed"}
_SENTENCES: Final = {404: "there is nothing at this address; see /openapi.json"}


def bare_app() -> FastAPI:
    """The endpoints alone, which the OpenAPI document describes."""
    app = FastAPI(
        title="agelens",
        version=__version__,
        description=NOTICE,
        docs_url=None,  # its page would load scripts of third parties
        redoc_url=None,
        redirect_slashes=False,
    )
    app.include_router(router)
    return app


def build_app(service: Service) -> FastAPI:
    """The application of `service`, to be run by an ASGI server."""
    app = bare_app()
    app.router.lifespan_context = _lifespan
    app.state.service = service
    app.add_exception_handler(RequestError, _on_request_error)
    app.add_exception_handler(HTTPException, _on_http_exception)
    page = _add_page(app)
    settings, metrics = service.settings, service.metrics
    # The last one added stands before the others.
    app.add_middleware(
        Guard,
        tokens=lambda: service.tokens,
        open_paths=frozenset((*_OPEN, *page)),
        max_bytes=settings.max_request_bytes,
        memory_bytes=settings.memory_megabytes * 1_000_000,
        seconds=settings.timeout_seconds,
        metrics=metrics,
    )
    if settings.cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=settings.cors_origins,
            allow_methods=("GET", "POST"),
            allow_headers=("Authorization", "Content-Type"),
            expose_headers=("X-Request-ID", "Retry-After"),
        )
    app.add_middleware(Observed, metrics=metrics)
    return app


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    service: Service = app.state.service
    loop = asyncio.get_running_loop()
    tasks: set[asyncio.Task[None]] = set()

    def begin(work: Any) -> None:
        task = loop.create_task(work)
        tasks.add(task)  # the loop itself keeps no reference
        task.add_done_callback(tasks.discard)

    async def first_check() -> None:
        why = await service.why_not_ready()
        log_event("not ready" if why else "ready", why=why)

    if hasattr(signal, "SIGHUP"):
        loop.add_signal_handler(signal.SIGHUP, lambda: begin(service.reload()))
    begin(first_check())
    yield
    await asyncio.to_thread(service.queue.close)
    log_event("stopped")


def _add_page(app: FastAPI) -> list[str]:
    """Serve each file of the page by its own path, and nothing else; returns the paths."""
    files = StaticFiles(directory=PAGE)
    names = sorted(file.relative_to(PAGE).as_posix() for file in PAGE.rglob("*") if file.is_file())
    paths = {"/": "index.html"} | {f"/{name}": name for name in names}

    async def serve(request: Request) -> Response:
        response = await files.get_response(paths[request.url.path], request.scope)
        response.headers.update(_PAGE_HEADERS)
        return response

    for path in paths:
        app.add_route(path, serve, methods=["GET"], include_in_schema=False)
    return list(paths)


async def _on_request_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestError)  # noqa: S101 - it is registered for these
    request.app.state.service.metrics.refused.labels(error.code).inc()
    return error_response(error, request.state.request_id)


async def _on_http_exception(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - it is registered for these
    code = _CODES.get(error.status_code, "refused")
    told = RequestError(
        error.status_code,
        code,
        _SENTENCES.get(error.status_code, str(error.detail)),
        error.headers,
    )
    return await _on_request_error(request, told)
