"""The endpoints: what a request asks for, in terms of the queue and the models."""

from __future__ import annotations

import asyncio
from base64 import b64encode
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from functools import partial
from typing import Any, Final, TypeVar

import numpy as np
from fastapi import APIRouter, Request
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from pydantic import BaseModel
from starlette.responses import JSONResponse, Response

from agelens.errors import PhotoError, UnknownNameError, UsageError
from agelens.imaging.photos import FORMATS
from agelens.inference.age_gates import AgeGate
from agelens.inference.drawing import encoded_picture
from agelens.inference.results import PhotoResult
from agelens.service import schemas
from agelens.service.errors import RequestError, busy
from agelens.service.forms import (
    EstimateForm,
    GateForm,
    VerifyForm,
    check_pictures,
    openapi_form,
    read_form,
)
from agelens.service.photo_queue import QueueFullError
from agelens.service.served_models import listed_detectors
from agelens.service.state import Service
from agelens.version import __version__

T = TypeVar("T")

NOTICE: Final = "An age estimate says how old a face looks. It is no proof of age."
_FAILURES: Final = {
    400: "the form is damaged",
    401: "a token is needed",
    408: "the upload took too long",
    413: "too many bytes, pixels or files",
    415: "no form, or no picture in it",
    422: "a field that does not fit, or a model that is not served",
    500: "the service failed; its log says where",
    503: "too busy, starting or stopping: come again after `Retry-After` seconds",
}
ASKED: Final[dict[int | str, dict[str, Any]]] = {
    status: schemas.described(schemas.Failure, _FAILURES[status]) for status in (401, 500, 503)
}
POSTED: Final[dict[int | str, dict[str, Any]]] = {
    status: schemas.described(schemas.Failure, told) for status, told in _FAILURES.items()
}

router = APIRouter()


def _service(request: Request) -> Service:
    service: Service = request.app.state.service
    return service


def _answered(kind: type[BaseModel]) -> dict[int | str, dict[str, Any]]:
    return {200: schemas.described(kind, "answered")}


@router.post(
    "/v1/estimate",
    responses=_answered(schemas.Estimates) | POSTED,
    openapi_extra=openapi_form(EstimateForm, {"files": True}),
)
async def estimate(request: Request) -> Response:
    """Estimate the ages of the faces in one or many photos.

    One row a photo, in order, as `agelens estimate` writes it; also for those that are broken.
    """
    _, rows, _ = await _estimated(request, EstimateForm)
    return JSONResponse({"request_id": request.state.request_id, "results": rows})


@router.post(
    "/v1/gate",
    responses=_answered(schemas.GatedEstimates) | POSTED,
    openapi_extra=openapi_form(GateForm, {"files": True}),
)
async def gate(request: Request) -> Response:
    """Estimate, and decide by a legal age and a challenge age above it.

    An estimate is no proof of age: whoever is referred, or fails, needs another way to prove it.
    """
    form, rows, results = await _estimated(request, GateForm)
    two_ages = AgeGate(form.legal_age, form.challenge_age)
    for row, result in zip(rows, results, strict=True):
        decisions = [two_ages.decide(face) for face in result.faces]
        for face, decision in zip(row["faces"], decisions, strict=True):
            face["decision"] = decision
        row["decision"] = decisions[0] if len(decisions) == 1 else "refer"
    ages = {"legal_age": form.legal_age, "challenge_age": form.challenge_age}
    return JSONResponse({"request_id": request.state.request_id} | ages | {"results": rows})


@router.post(
    "/v1/verify",
    responses=_answered(schemas.Verdict)
    | POSTED
    | {404: schemas.described(schemas.Failure, "the service does not verify")},
    openapi_extra=openapi_form(VerifyForm, {"first": False, "second": False}),
)
async def verify(request: Request) -> Response:
    """Say whether two photos show one person, and how old both look; nothing is kept.

    No proof of identity. Only where the service was started with `--verify`.
    """
    service = _service(request)
    uploads, form = await read_form(request, VerifyForm, ("first", "second"), most=2)
    models = service.models
    if models.extractor is None:
        raise RequestError(404, "not_verifying", "this service was started without --verify")
    from agelens.recognition.photo_pair import PhotoVerifier  # noqa: PLC0415 - few ask for it

    photos = [uploads["first"][0], uploads["second"][0]]
    await asyncio.to_thread(check_pictures, photos, service.settings.max_pixels)
    try:
        verifier = PhotoVerifier(
            models.extractor,
            models.estimator(),
            false_match_rate=form.false_match_rate,
            largest=form.largest,
        )
        (verdict,) = await _waited_for(
            service, lambda: [service.queue.run(partial(verifier.verify, *photos), photos=2)]
        )
    except (PhotoError, UsageError) as error:
        code = error.status if isinstance(error, PhotoError) else "not_verifiable"
        raise RequestError(422, code, str(error)) from error
    return JSONResponse({"request_id": request.state.request_id} | verdict.to_json())


Fields = TypeVar("Fields", bound=EstimateForm)


async def _estimated(
    request: Request, kind: type[Fields]
) -> tuple[Fields, list[dict[str, Any]], list[PhotoResult]]:
    """The form of a request, and of each of its photos the row and the result."""
    service = _service(request)
    uploads, form = await read_form(request, kind, ("files",), most=service.settings.max_files)
    files = uploads["files"]
    try:
        if isinstance(form, GateForm):
            AgeGate(form.legal_age, form.challenge_age)
        estimator = service.models.estimator(form.model, gender=form.gender)
    except (UnknownNameError, ValueError) as error:
        raise RequestError(422, "wrong_field", str(error)) from error
    if form.distribution and estimator.card.output_kind == "mean-spread":
        raise RequestError(
            422,
            "wrong_field",
            f"{estimator.card.name} answers with an age and its spread, so there is no "
            "distribution to add",
        )
    await asyncio.to_thread(check_pictures, files, service.settings.max_pixels)
    results = await _waited_for(
        service, lambda: service.queue.estimate(estimator, files, hold=form.draw)
    )
    rows = [result.to_json(distribution=form.distribution) for result in results]
    if not form.gender:  # their estimator may tell it all the same
        for face in (face for row in rows for face in row["faces"]):
            face.pop("gender", None)
            face.pop("gender_score", None)
    if form.draw:
        for row, drawn in zip(rows, await asyncio.to_thread(_drawn, results), strict=True):
            row["drawn_jpeg"] = drawn
    service.count(results)
    return form, rows, results


async def _waited_for(service: Service, begin: Callable[[], Sequence[Future[T]]]) -> list[T]:
    """The answers of what the queue takes in, within the time that a request has.

    Raises:
        RequestError: 503, the queue is full, or its answers take too long.
    """
    try:
        answers = begin()
    except QueueFullError as error:
        raise busy(f"the queue is full: {error}; come again") from error
    seconds = service.settings.timeout_seconds
    try:
        async with asyncio.timeout(seconds):
            return await asyncio.gather(*map(asyncio.wrap_future, answers))
    except TimeoutError as error:  # what was not begun is cancelled
        raise busy(f"no answer within {seconds:g} seconds; come again", "timeout") from error


def _drawn(results: Sequence[PhotoResult]) -> list[str | None]:
    """Each photo with its faces as a JPEG in base64; None where it cannot be read."""
    return [
        b64encode(encoded_picture(np.asarray(one.draw()), "JPEG")).decode() if usable(one) else None
        for one in results
    ]


def usable(result: PhotoResult) -> bool:
    """Whether the photo could be read."""
    return result.status in ("ok", "no_face")


@router.get("/v1/models", responses=_answered(schemas.Models) | ASKED)
async def models(request: Request) -> Response:
    """The age models that may be named in a request."""
    served = _service(request).models
    return JSONResponse(
        {
            "models": [
                {
                    "name": card.name,
                    "version": card.version,
                    "default": card.name == served.default,
                    "summary": card.summary,
                    "sha256": card.sha256,
                    "tells_gender": bool(card.labels),
                    "calibrated": card.calibration is not None,
                    "licences": dict(card.licences),
                }
                for card in served.cards
            ]
        }
    )


@router.get("/v1/detectors", responses=_answered(schemas.Detectors) | ASKED)
async def detectors(request: Request) -> Response:
    """The face detectors of agelens, and which of them is in use here."""
    in_use = _service(request).settings.detector
    return JSONResponse({"detectors": await asyncio.to_thread(listed_detectors, in_use)})


@router.get("/v1/info", responses=_answered(schemas.Info) | ASKED)
async def info(request: Request) -> Response:
    """What this service is, and how much it takes."""
    service = _service(request)
    settings = service.settings
    return JSONResponse(
        {
            "agelens_version": __version__,
            "model": service.models.default,
            "models": [card.name for card in service.models.cards],
            "detector": settings.detector,
            "verifies": service.models.extractor is not None,
            "formats": list(FORMATS),
            "limits": {
                "request_bytes": settings.max_request_bytes,
                "files": settings.max_files,
                "pixels": settings.max_pixels,
                "queue_photos": settings.queue,
                "timeout_seconds": settings.timeout_seconds,
            },
            "notice": NOTICE,
        }
    )


@router.get("/v2/health/live", responses=_answered(schemas.Live))
async def live() -> Response:
    """That the process answers."""
    return JSONResponse({"live": True})


@router.get(
    "/v2/health/ready",
    responses=_answered(schemas.Ready)
    | {503: schemas.described(schemas.Failure, "not ready: starting, stopping, stuck or busy")},
)
async def ready(request: Request) -> Response:
    """That photos are answered: an inference was made within the last half minute, or now."""
    if why := await _service(request).why_not_ready():
        raise busy(why, "not_ready")
    return JSONResponse({"ready": True})


@router.get("/metrics", responses=ASKED | {200: {"content": {"text/plain": {}}}})
async def metrics(request: Request) -> Response:
    """Counts for Prometheus."""
    registry = _service(request).metrics.registry
    return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)
