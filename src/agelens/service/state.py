"""What all requests of a service share: its models, its queue, its counts, whether it is ready."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from time import monotonic
from typing import Final

from agelens.errors import AgelensError
from agelens.inference.estimator import available_cores
from agelens.inference.results import PhotoResult
from agelens.service.observing import Metrics, log_event
from agelens.service.photo_queue import PhotoQueue, QueueFullError
from agelens.service.served_models import ServedModels, open_models
from agelens.service.settings import ServiceSettings

_FRESH_SECONDS: Final = 30.0


class Service:
    """One running service; used in its event loop alone.

    Args:
        settings: of `agelens serve`.
        models: opened as the settings say.
        tokens: bearer tokens that are taken; none where everybody is answered.
    """

    def __init__(
        self, settings: ServiceSettings, models: ServedModels, tokens: Sequence[str]
    ) -> None:
        self.settings = settings
        self.models = models
        self.tokens = tuple(tokens)
        self.metrics = Metrics()
        self.queue = PhotoQueue(
            settings.queue,
            settings.workers or available_cores(),
            self.metrics.batch_faces.observe,
        )
        self.metrics.queue.set_function(lambda: self.queue.photos)
        self._answered_at: float | None = None
        self._checking = asyncio.Lock()
        self._reloading = asyncio.Lock()

    def count(self, results: Sequence[PhotoResult]) -> None:
        """Count what became of photos."""
        for result in results:
            self.metrics.photos.labels(result.status).inc()
            self.metrics.faces.inc(len(result.faces))
            if result.faces:
                self._answered_at = monotonic()

    async def why_not_ready(self) -> str | None:
        """None once a photo was answered lately; a drawn face is tried where none was."""
        async with self._checking:
            if self._answered_at and monotonic() - self._answered_at < _FRESH_SECONDS:
                return None
            try:
                check = self.queue.run(self.models.check, photos=1)
                async with asyncio.timeout(_FRESH_SECONDS):
                    await asyncio.wrap_future(check)
            except QueueFullError:
                return "the queue is full"
            except TimeoutError:
                return "the models do not answer in time"
            except AgelensError as error:
                return f"the models fail: {error}"
            self._answered_at = monotonic()
            return None

    async def reload(self) -> None:
        """Open models and tokens anew; where that fails, what is there stays."""
        async with self._reloading:
            try:
                tokens = self.settings.tokens()
                models = await asyncio.to_thread(open_models, self.settings)
                await asyncio.to_thread(models.check)
            except AgelensError as error:
                self.metrics.reloads.labels("failed").inc()
                log_event("reload failed", level=logging.ERROR, why=str(error))
                return
            self.models, self.tokens = models, tokens
            self.metrics.reloads.labels("done").inc()
            log_event("reloaded", models=[card.name for card in models.cards])
