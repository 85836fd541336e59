"""What the service answers, for its OpenAPI document and whoever writes a client from it."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

Pair = Annotated[list[float], Field(min_length=2, max_length=2)]
Share = Annotated[float, Field(ge=0, le=1)]


class Quality(BaseModel):
    """What the picture of a face is like."""

    model_config = ConfigDict(extra="allow")

    inter_eye_px: float
    sharpness: float
    exposure: float
    roll_degrees: float
    yaw_proxy: float
    visible_share: float
    dark_eyes: float | None = Field(None, description="darkness about the eyes, as of sunglasses")
    mouth_edges: float | None = Field(None, description="edges about the mouth, few under a mask")
    bright_eyes: float | None = Field(None, description="brightness of the eyes, of a negative")


class FaceRow(BaseModel):
    """One face, as `agelens estimate` has it."""

    box_xyxy: Annotated[list[float], Field(min_length=4, max_length=4)]
    landmarks: Annotated[list[Pair], Field(min_length=5, max_length=5)]
    detection_score: Share
    quality: Quality
    refer: str | None = Field(description="why a person should look instead of trusting the number")
    estimate_years: float
    median_years: float
    low_years: float | None
    high_years: float | None
    interval: str | None
    interval_level: Share
    coverage: Share | None = Field(description="share measured inside such intervals")
    distribution: list[float] | None = Field(None, description="where it is asked for")
    gender: Literal["female", "male"] | None = Field(None, description="where it is asked for")
    gender_score: Share | None = None


class PhotoRow(BaseModel):
    """One photo, as `agelens estimate` has it."""

    photo: str = Field(description="the name that it was sent with")
    status: Literal["ok", "no_face", "unreadable", "too_large"]
    message: str
    faces: list[FaceRow]
    model: str
    detector: str
    agelens_version: str
    drawn_jpeg: str | None = Field(None, description="base64, where it is asked for")


Decision = Literal["pass", "fail", "refer"]


class GatedFace(FaceRow):
    """One face and what the gate says of it."""

    decision: Decision = Field(
        description="pass: looks the challenge age or older; fail: looks younger than the legal "
        "age; refer: a person, or a document, has to decide"
    )


class GatedPhoto(PhotoRow):
    """One photo; `decision` is that of its only face, and refer where it has none or several."""

    faces: list[GatedFace]  # type: ignore[assignment]  # with a decision each
    decision: Decision


class Estimates(BaseModel):
    """The photos of a request, in its order."""

    request_id: str
    results: list[PhotoRow]


class GatedEstimates(BaseModel):
    """The photos of a request, in its order, with decisions."""

    request_id: str
    legal_age: float
    challenge_age: float
    results: list[GatedPhoto]


class Verdict(BaseModel):
    """Whether two photos are called the same person, as `agelens verify --json` has it."""

    model_config = ConfigDict(extra="allow")

    request_id: str
    similarity: float
    same_person: bool | None = Field(
        description="null: at these ages most photos of one person are called different as well"
    )
    false_match_rate: float
    threshold: float | None
    caution: str | None


class ModelRow(BaseModel):
    """One model of this service."""

    name: str
    version: str
    default: bool
    summary: str
    sha256: str
    tells_gender: bool
    calibrated: bool
    licences: dict[str, str]


class DetectorRow(BaseModel):
    """One face detector."""

    name: str
    summary: str
    licence: str
    in_use: bool


class Limits(BaseModel):
    """What one request may have, and how many photos the service takes at a time."""

    request_bytes: int
    files: int
    pixels: int
    queue_photos: int
    timeout_seconds: float


class Info(BaseModel):
    """What this service is."""

    agelens_version: str
    model: str = Field(description="the default")
    models: list[str]
    detector: str
    verifies: bool
    formats: list[str]
    limits: Limits
    notice: str


class Models(BaseModel):
    """The models of this service."""

    models: list[ModelRow]


class Detectors(BaseModel):
    """All face detectors."""

    detectors: list[DetectorRow]


class Live(BaseModel):
    """That the process answers."""

    live: Literal[True]


class Ready(BaseModel):
    """That photos are answered."""

    ready: Literal[True]


class Problem(BaseModel):
    """A word for programs, a sentence for people."""

    code: str
    message: str
    request_id: str


class Failure(BaseModel):
    """Every error has this shape."""

    error: Problem


_FACE: Final[dict[str, Any]] = {
    "box_xyxy": [177.75, 56.89, 273.05, 177.29],
    "landmarks": [
        [204.75, 100.99],
        [247.28, 103.39],
        [223.64, 129.45],
        [202.59, 138.21],
        [244.45, 140.42],
    ],
    "detection_score": 0.999475,
    "quality": {
        "inter_eye_px": 42.61,
        "sharpness": 0.1888,
        "exposure": 0.6459,
        "roll_degrees": 3.23,
        "yaw_proxy": -0.0196,
        "visible_share": 1.0,
    },
    "refer": None,
    "estimate_years": 22.343,
    "median_years": 20.64,
    "low_years": 14.059,
    "high_years": 34.963,
    "interval": "90 %, calibrated",
    "interval_level": 0.9,
    "coverage": 0.9115,
}
_MADE_BY: Final = {"model": "agelens-1", "detector": "retinaface", "agelens_version": "0.1.0"}
_ROW: Final = {"photo": "astronaut.png", "status": "ok", "message": "", "faces": [_FACE]} | _MADE_BY
_BROKEN: Final = {
    "photo": "half.jpg",
    "status": "unreadable",
    "message": "half.jpg: cannot be decoded, damaged or of an unsupported kind",
    "faces": [],
} | _MADE_BY
_ID: Final = "0f8fad5bd9cb469fa16570867728950e"
EXAMPLES: Final[dict[type[BaseModel], dict[str, Any]]] = {
    Estimates: {"request_id": _ID, "results": [_ROW, _BROKEN]},
    GatedEstimates: {
        "request_id": _ID,
        "legal_age": 18,
        "challenge_age": 25,
        "results": [_ROW | {"faces": [_FACE | {"decision": "refer"}], "decision": "refer"}],
    },
    Failure: {
        "error": {
            "code": "not_a_picture",
            "message": "none of the files is a picture: send JPEG, PNG",
            "request_id": _ID,
        }
    },
}
"""An answer of each kind whose shape is not plain from its fields."""


def described(kind: type[BaseModel], description: str) -> dict[str, Any]:
    """The OpenAPI response of one status."""
    response: dict[str, Any] = {"model": kind, "description": description}
    if kind in EXAMPLES:
        response["content"] = {"application/json": {"example": EXAMPLES[kind]}}
    return response
