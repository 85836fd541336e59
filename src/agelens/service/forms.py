"""What is read of a request: a multipart form, its files kept in memory alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from io import BytesIO
from typing import Annotated, Any, Final, TypeVar

import python_multipart as _needed_for_forms  # noqa: F401 - Starlette looks for it too late
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.datastructures import FormData, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

from agelens.errors import PhotoError
from agelens.imaging.photos import FORMATS, pixels_stated
from agelens.service.errors import RequestError

_MOST_FIELDS: Final = 32
_LONGEST_FIELD: Final = 1000
_LONGEST_COMPLAINT: Final = 300


class Upload(BytesIO):
    """An uploaded file, called what its sender called it."""

    def __init__(self, content: bytes, name: str) -> None:
        super().__init__(content)
        self.name = name


class EstimateForm(BaseModel):
    """Fields of a form beside its files."""

    model_config = ConfigDict(extra="forbid")

    gender: bool = Field(False, description="also tell the gender that the model sees")
    distribution: bool = Field(False, description="add each face's whole age distribution")
    draw: bool = Field(
        False, description="add the photo with boxes and ages drawn on it, a JPEG in base64"
    )
    model: str | None = Field(
        None, description="one of GET /v1/models; the default where it is absent"
    )


class GateForm(EstimateForm):
    """Fields of a form beside its files, with both ages of the gate."""

    legal_age: Annotated[float, Field(gt=0, le=150)] = Field(
        18.0, description="what the law asks for, in years"
    )
    challenge_age: Annotated[float, Field(gt=0, le=150)] = Field(
        25.0, description="what a face has to look to pass unasked, at least the legal age"
    )


class VerifyForm(BaseModel):
    """Fields of a form beside its two files."""

    model_config = ConfigDict(extra="forbid")

    false_match_rate: Annotated[float, Field(gt=0, lt=1)] = Field(
        0.001, description="of pairs of different people who may be called the same"
    )
    largest: bool = Field(
        False, description="take the largest face of a photo with several; else they are refused"
    )


Form = TypeVar("Form", bound=BaseModel)


class _InMemory(MultiPartParser):
    """Starlette's parser, which else writes files above a megabyte to the disk."""

    spool_max_size = 2**62


async def read_form(
    request: Request, kind: type[Form], files: Sequence[str], *, most: int
) -> tuple[dict[str, list[Upload]], Form]:
    """The files of a form by the names of their fields, and its other fields.

    Args:
        request: whose body is read.
        kind: of the other fields.
        files: names of the fields of files, each at least once.
        most: files that are taken.

    Raises:
        RequestError: 415 for no form, 400 for a damaged one, 413 for too many files, 422 for
            fields that do not fit.
    """
    form = await _parsed(request, most)
    try:
        uploads: dict[str, list[Upload]] = {name: [] for name in files}
        fields: dict[str, str] = {}
        for name, value in form.multi_items():
            if isinstance(value, UploadFile) and name in uploads:
                uploads[name].append(Upload(await value.read(), value.filename or "<upload>"))
            elif isinstance(value, UploadFile) or name in uploads:
                wanted = "a text" if isinstance(value, UploadFile) else "a file"
                raise _wrong_field(f"{name}: expected {wanted}")
            elif name in fields:
                raise _wrong_field(f"{name}: is there twice")
            else:
                fields[name] = value
    finally:
        await form.close()
    absent = [name for name in files if not uploads[name]]
    if absent:
        raise _wrong_field(f"{', '.join(absent)}: a file is needed")
    try:
        return uploads, kind.model_validate(fields)
    except ValidationError as error:
        raise _wrong_field("; ".join(map(_told, error.errors()))) from error


_BAD_FORM: Final = RequestError(
    400, "bad_form", "the form is damaged, or a field is too long; send it as curl -F does"
)


async def _parsed(request: Request, most: int) -> FormData:
    kind = request.headers.get("content-type", "")
    if kind.partition(";")[0].strip().lower() != "multipart/form-data":
        raise RequestError(
            415, "not_a_form", "send the photos as files of a form, multipart/form-data"
        )
    parser = _InMemory(
        request.headers,
        request.stream(),
        max_files=most,
        max_fields=_MOST_FIELDS,
        max_part_size=_LONGEST_FIELD,
    )
    try:
        return await parser.parse()
    except MultiPartException as error:
        if error.message.startswith("Too many files"):
            raise RequestError(
                413, "too_many_files", f"at most {most} files are taken at a time"
            ) from error
        raise _BAD_FORM from error
    except (ValueError, LookupError) as error:  # a character set that is none of text
        raise _BAD_FORM from error


def _wrong_field(message: str) -> RequestError:
    return RequestError(422, "wrong_field", message[:_LONGEST_COMPLAINT])


def _told(problem: Any) -> str:
    return f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}"


def check_pictures(uploads: Sequence[Upload], max_pixels: int) -> None:
    """Look at the files' first bytes: is there a picture, and how large are they together?

    What is damaged further on, or is no picture among pictures, becomes a row that says so.

    Raises:
        RequestError: 415 where none is a picture, 413 where they have too many pixels.
    """
    pixels, pictures = 0, 0
    for upload in uploads:
        try:
            stated = pixels_stated(upload)
        except PhotoError:
            stated = 0
        pictures += stated is not None
        pixels += stated or 0
    if not pictures:
        raise RequestError(
            415, "not_a_picture", f"none of the files is a picture: send {', '.join(FORMATS)}"
        )
    if pixels > max_pixels:
        raise RequestError(
            413,
            "too_many_pixels",
            f"the photos have {pixels:,} pixels together, {max_pixels:,} are taken; make them "
            "smaller, or send fewer at a time",
        )


def openapi_form(kind: type[BaseModel], files: Mapping[str, bool]) -> dict[str, Any]:
    """The OpenAPI `requestBody` of a form.

    Args:
        kind: of the fields beside the files.
        files: names of the fields of files, and whether there may be several.
    """
    schema = kind.model_json_schema()
    one = {"type": "string", "format": "binary", "contentMediaType": "image/*"}
    several = {"type": "array", "items": one, "minItems": 1}
    properties = {name: several if many else one for name, many in files.items()}
    schema |= {
        "properties": properties | schema["properties"],
        "required": [*files],
        "title": kind.__name__,
    }
    return {
        "requestBody": {
            "required": True,
            "content": {
                "multipart/form-data": {
                    "schema": schema,
                    "encoding": {name: {"contentType": "image/*"} for name in files},
                }
            },
        }
    }
