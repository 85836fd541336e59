"""How a service is configured: by the options of `agelens serve`, and by the environment."""

from __future__ import annotations

from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import BeforeValidator, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from agelens.errors import UsageError
from agelens.inference.cards import DEFAULT_MODEL

ENVIRONMENT: Final = "AGELENS_SERVE_"
SECRET: Final = "token"  # noqa: S105 - the name of the setting
"""The setting that has no option: other users of a machine see the words of a command."""
_SHORTEST_TOKEN: Final = 16
MEGA: Final = 1_000_000


def _split(value: Any) -> Any:
    if isinstance(value, str):
        return tuple(word.strip() for word in value.split(",") if word.strip())
    return value


Words = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split)]
Count = Annotated[int, Field(ge=1)]


class ServiceSettings(BaseSettings):
    """What a service does and how much it takes; a field's description is its option's help."""

    model_config = SettingsConfigDict(env_prefix=ENVIRONMENT, frozen=True, extra="forbid")

    host: str = Field("127.0.0.1", description="address to listen on")
    port: Annotated[int, Field(ge=0, le=65535)] = Field(
        8000, description="port to listen on; 0 takes a free one"
    )
    model: Words = Field(
        (DEFAULT_MODEL,),
        min_length=1,
        description="age models to serve, with commas: names, cards, or folders of runs; the first "
        "is the default",
    )
    detector: str = Field("retinaface", description="face detector")
    longest_side: Annotated[int, Field(ge=32)] = Field(
        640, description="the detector searches a copy of at most this size"
    )
    device: str = Field("cpu", description="cpu or cuda")
    workers: Count | None = Field(
        None, description="threads that read photos and find faces (default: all available cores)"
    )
    verify: bool = Field(
        False, description="also answer POST /v1/verify, which needs agelens[identity]"
    )
    max_request_megabytes: Count = Field(32, description="refuse larger requests")
    max_files: Count = Field(16, description="refuse requests of more files")
    max_megapixels: Count = Field(
        50, description="refuse requests whose photos have more pixels together"
    )
    queue: Count = Field(128, description="photos that may wait or be worked on at a time")
    memory_megabytes: Count = Field(
        512, description="uploads that may be in memory at a time, all requests together"
    )
    timeout_seconds: Annotated[float, Field(gt=0)] = Field(
        30.0, description="time for an upload to arrive, and time for its answer"
    )
    stop_seconds: Count = Field(
        30, description="time to finish what was begun when the service is stopped"
    )
    token: SecretStr = Field(
        SecretStr(""), description="bearer tokens, with commas; of the environment only"
    )
    token_file: Path | None = Field(None, description="file of bearer tokens, one a line")
    no_token: bool = Field(
        False, description="answer everybody, also where other machines can reach the service"
    )
    cors_origins: Words = Field(
        (), description="web origins whose pages may call the service, with commas"
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="least level of what is logged"
    )

    @property
    def max_request_bytes(self) -> int:
        """Bytes of the largest request."""
        return self.max_request_megabytes * MEGA

    @property
    def max_pixels(self) -> int:
        """Pixels of all photos of a request."""
        return self.max_megapixels * MEGA

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach the service."""
        try:
            return ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"

    def shown(self) -> dict[str, Any]:
        """All settings as plain JSON types, without secrets."""
        return self.model_dump(mode="json", exclude={SECRET})

    def tokens(self) -> tuple[str, ...]:
        """The bearer tokens that are taken; none where everybody is answered.

        Raises:
            UsageError: a token is too short, the file cannot be read, or there is no token though
                other machines can reach the service.
        """
        found = [*_split(self.token.get_secret_value())]
        if self.token_file is not None:
            try:
                found += self.token_file.read_text(encoding="utf-8").split()
            except (OSError, ValueError) as error:
                raise UsageError(f"{self.token_file}: tokens cannot be read: {error}") from error
            if not found:
                raise UsageError(f"{self.token_file}: has no token in it, one a line")
        if any(len(token) < _SHORTEST_TOKEN or not token.isascii() for token in found):
            raise UsageError(
                f"a token has at least {_SHORTEST_TOKEN} characters of ASCII: "
                "python -c 'import secrets; print(secrets.token_urlsafe())' makes one"
            )
        if found and self.no_token:
            raise UsageError("there are tokens, and --no-token says that none is needed: drop one")
        if not found and not self.no_token and not self.is_loopback:
            raise UsageError(
                f"other machines can reach {self.host}: name bearer tokens in {ENVIRONMENT}TOKEN "
                "or --token-file, or say --no-token to answer everybody"
            )
        return tuple(found)


def read_settings(**given: Any) -> ServiceSettings:
    """The settings of the environment, with those `given` in their place.

    Raises:
        UsageError: a value that does not fit; the message names its option.
    """
    try:
        settings = ServiceSettings(**given)
    except ValidationError as error:
        raise UsageError("; ".join(_told(one) for one in error.errors())) from error
    if settings.max_files > settings.queue:
        raise UsageError(
            f"--queue {settings.queue} is less than the --max-files {settings.max_files} of one "
            "request, which could never be taken"
        )
    if settings.max_request_megabytes > settings.memory_megabytes:
        raise UsageError(
            f"--memory-megabytes {settings.memory_megabytes} is less than the "
            f"--max-request-megabytes {settings.max_request_megabytes}, which could never be taken"
        )
    return settings


def _told(problem: Any) -> str:
    """One problem of a value, without the value where it may be a secret."""
    name = str(problem["loc"][0])
    got = "" if name == SECRET else f", got {str(problem['input'])[:80]!r}"
    return f"--{name.replace('_', '-')} ({ENVIRONMENT}{name.upper()}): {problem['msg']}{got}"
