"""Which model made an embedding: two that differ in anything cannot be compared."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final, Literal, TypeAlias, get_args

from agelens.errors import TableError

Crops: TypeAlias = Literal["single", "concatenated", "added"]
CROPS: Final[tuple[str, ...]] = get_args(Crops)


@dataclass(frozen=True, slots=True)
class EmbeddingModel:
    """The network behind a table of embeddings, and how often it looked at each face.

    `sha256` is that of its weights. `dimension` is the length of a stored vector: twice the
    network's where `crops` says that the vectors of a chip and of its mirror image stand
    beside each other (``concatenated``), and the network's own where they are ``added``
    (Xie et al., TIFS 2022, test both).

    Raises:
        TableError: `crops` is none of `CROPS`, or `dimension` is below 1.
    """

    name: str
    version: str
    sha256: str
    dimension: int
    crops: Crops = "single"

    def __post_init__(self) -> None:
        if self.crops not in CROPS:
            raise TableError(f"crops must be one of {', '.join(CROPS)}, got {self.crops!r}")
        if self.dimension < 1:
            raise TableError(f"embeddings need 1 dimension or more, got {self.dimension}")

    def __str__(self) -> str:
        return f"{self.name} {self.version} ({self.crops}, {self.dimension}, {self.sha256[:12]})"

    def to_json(self) -> dict[str, Any]:
        """Plain types by name."""
        return asdict(self)

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> EmbeddingModel:
        """The model that `to_json` wrote.

        Raises:
            TableError: a field is absent, unknown, or not of its type.
        """
        try:
            return cls(
                name=str(document["name"]),
                version=str(document["version"]),
                sha256=str(document["sha256"]),
                dimension=int(document["dimension"]),
                crops=document["crops"],
            )
        except (KeyError, TypeError, ValueError) as error:
            raise TableError(f"no description of an embedding model: {error!r}") from error
