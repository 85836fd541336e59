"""An extractor that sees colours only, and photos of one head in several colours."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from agelens.imaging.detectors.retinaface import RetinaFace
from agelens.recognition.extractors import open_extractor
from agelens.recognition.face_embedder import FaceEmbedder
from agelens.records import RGB

RATES = [
    {
        "false_match_rate": rate,
        "threshold": threshold,
        "measured": rate / 2,
        "low": 0.0,
        "high": rate,
        "true_match_rate": 0.9,
    }
    for rate, threshold in ((0.1, 0.9), (0.01, 0.99), (0.001, 0.999))
]
VERIFICATION = {
    "single": {
        "dataset": "toys",
        "people": 40,
        "photos": 80,
        "different_pairs": 3120,
        "same_pairs": 40,
        "rates": RATES,
    }
}
TINTS = {"grey": (1, 1, 1), "red": (1, 0.45, 0.45), "green": (0.45, 1, 0.45)}


@pytest.fixture(scope="session")
def write_embedding_card(write_card: Callable[..., Path]) -> Callable[..., Path]:
    """Writes the card and the network of an extractor that sees colours."""

    def write(folder: Path, content: bytes | None = None, **changed: Any) -> Path:
        def change(document: dict[str, Any]) -> None:
            document["task"] = "embedding"
            document["output"] = {"kind": "embedding", "dimension": 81}
            document["verification"] = VERIFICATION
            document.update(changed)

        return write_card(folder, content, change)

    return write


@pytest.fixture(scope="session")
def colour_card(
    write_embedding_card: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The folder of such an extractor."""
    return write_embedding_card(tmp_path_factory.mktemp("extractor")).parent


@pytest.fixture(scope="session")
def colour_embedder(colour_card: Path) -> FaceEmbedder:
    """Finds faces, and embeds their colours."""
    return FaceEmbedder(open_extractor(colour_card), RetinaFace(), workers=1)


@pytest.fixture(scope="session")
def heads(head: RGB, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Photos: a head in three colours, two of them, and none."""
    folder = tmp_path_factory.mktemp("heads")
    pictures = {name: (head * np.array(tint)).astype(np.uint8) for name, tint in TINTS.items()}
    pictures["two"] = np.hstack([pictures["grey"], pictures["red"]])
    pictures["none"] = np.full((96, 96, 3), 128, dtype=np.uint8)
    for name, rgb in pictures.items():
        Image.fromarray(rgb).save(folder / f"{name}.png")
    return {name: folder / f"{name}.png" for name in pictures}
