"""Find a person in a folder of photos: an index kept as files where asked, exact or by faiss."""

from __future__ import annotations

from agelens.recognition.search.folder_search import FolderSearch, FoundFace, Searched
from agelens.recognition.search.index import (
    EXACT_BELOW,
    ExactSearch,
    FaceIndex,
    IndexChanges,
    NearestFaces,
)

__all__ = [
    "EXACT_BELOW",
    "ExactSearch",
    "FaceIndex",
    "FolderSearch",
    "FoundFace",
    "IndexChanges",
    "NearestFaces",
    "Searched",
]
