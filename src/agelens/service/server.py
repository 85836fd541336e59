"""`agelens serve`: from settings to a socket that listens, until a signal ends it."""

from __future__ import annotations

import socket

import uvicorn

from agelens.errors import UsageError
from agelens.service.app import build_app
from agelens.service.observing import log_event, start_logging
from agelens.service.served_models import open_models
from agelens.service.settings import ServiceSettings
from agelens.service.state import Service


def serve(settings: ServiceSettings) -> None:
    """Answer requests until SIGTERM or Ctrl-C; what was begun is finished.

    Raises:
        UsageError: the address cannot be listened on; or see `ServiceSettings.tokens`.
        UnknownNameError, CardError, MissingDependencyError: see `open_models`.
    """
    tokens = settings.tokens()
    models = open_models(settings)
    start_logging(settings.log_level)
    with _listening(settings.host, settings.port) as listener:
        port = listener.getsockname()[1]
        log_event("configuration", **settings.shown() | {"port": port, "tokens": len(tokens)})
        config = uvicorn.Config(
            build_app(Service(settings, models, tokens)),
            log_config=None,
            access_log=False,  # it has paths and queries; ours has routes
            server_header=False,
            proxy_headers=False,
            ws="none",
            timeout_graceful_shutdown=settings.stop_seconds,
        )
        server = uvicorn.Server(config)
        host = f"[{settings.host}]" if ":" in settings.host else settings.host
        print(f"agelens serves {models.default} at http://{host}:{port}/", flush=True)
        try:
            server.run(sockets=[listener])
        except KeyboardInterrupt:  # uvicorn sends on the signal that it has heeded
            if not server.should_exit:
                raise


def _listening(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=2048)
    except OSError as error:
        raise UsageError(
            f"{host}:{port} cannot be listened on: {error.strerror}; choose another --host, --port"
        ) from error
