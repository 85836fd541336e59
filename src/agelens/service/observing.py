"""What is logged and counted of requests: never pixels, names of files, or ages."""

from __future__ import annotations

import json
import logging
import sys
import traceback
from datetime import UTC, datetime
from pathlib import PurePath
from typing import Any, Final

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
)

LOG: Final = logging.getLogger("agelens.service")
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "OPTIONS", "PUT", "PATCH", "DELETE"})
_SILENT: Final = ("python_multipart", "PIL")
"""They quote what they read."""


class Metrics:
    """Counters of one service, in a registry of their own; labels have few values, all ours."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        registry = self.registry
        self.requests = Counter(
            "agelens_requests",
            "Requests answered",
            ("method", "route", "status"),
            registry=registry,
        )
        self.seconds = Histogram(
            "agelens_request_seconds", "Time to answer a request", ("route",), registry=registry
        )
        self.photos = Counter(
            "agelens_photos", "Photos by what became of them", ("status",), registry=registry
        )
        self.faces = Counter("agelens_faces", "Faces estimated", registry=registry)
        self.batch_faces = Histogram(
            "agelens_batch_faces",
            "Faces in a batch of a network",
            buckets=(0, 1, 2, 4, 8, 16, 32, 64),
            registry=registry,
        )
        self.queue = Gauge("agelens_queue_photos", "Photos waiting or worked on", registry=registry)
        self.upload_bytes = Gauge(
            "agelens_upload_bytes", "Bytes kept for uploads", registry=registry
        )
        self.refused = Counter(
            "agelens_refused",
            "Requests refused, by the code of their error",
            ("code",),
            registry=registry,
        )
        self.reloads = Counter(
            "agelens_reloads", "Reloads of the models", ("outcome",), registry=registry
        )

    def answered(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count one request."""
        known = method if method in _METHODS else "other"
        self.requests.labels(known, route, str(status)).inc()
        self.seconds.labels(route).observe(seconds)


class JsonLines(logging.Formatter):
    """One JSON object a line; of an error its type and its places in the code.

    Its message is left out: it may quote what somebody sent.
    """

    def format(self, record: logging.LogRecord) -> str:
        """The line of `record`."""
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "event": record.getMessage(),
        }
        line |= getattr(record, "fields", {})
        if record.exc_info and record.exc_info[1] is not None:
            error = record.exc_info[1]
            line["error"] = type(error).__name__
            line["where"] = [
                f"{PurePath(frame.filename).name}:{frame.lineno} {frame.name}"
                for frame in traceback.extract_tb(error.__traceback__)
            ]
        return json.dumps(line, ensure_ascii=False)


def log_event(event: str, *, level: int = logging.INFO, **fields: Any) -> None:
    """Log `event` with `fields` of plain JSON types."""
    LOG.log(level, event, extra={"fields": fields})


def start_logging(level: str) -> None:
    """Send what this process logs to standard error, as `JsonLines`."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
    for name in ("agelens", "uvicorn"):
        logging.getLogger(name).setLevel(level.upper())
    for name in _SILENT:
        logging.getLogger(name).setLevel(logging.CRITICAL)
